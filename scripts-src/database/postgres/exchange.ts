/** The exchange of a restored database for the present one, by their names. */
import { setTimeout as pause } from "node:timers/promises";
import { Failure, messageOf } from "../../base/errors.ts";
import { quote } from "../../base/process.ts";
import type { Exchanged } from "../restoring.ts";
import { type Connection, inDatabase } from "./connection.ts";
import { besideName, identifier, literal, text } from "./names.ts";
import { formatConninfo } from "./conninfo.ts";
import type { PropertyStatements } from "./properties.ts";
import { dropDatabase, hasDatabase, patience } from "./maintenance.ts";
import { execute, query } from "./session.ts";
import { isEmpty, mayEnd, type PostgresTarget } from "./target.ts";

export const transaction = (statements: readonly string[]) => ["BEGIN;", ...statements, "COMMIT;\n"].join("\n");

export interface Exchanging {
  present: Connection;
  /** Of the present database: one that is and stays empty is not kept. */
  target: Pick<PostgresTarget, "exists" | "empty">;
  /** To another database of the server. No signal ends what is begun. */
  unstoppable: Connection;
  /** The restored database. */
  fresh: string;
  time: Date;
  properties: PropertyStatements;
}

const renaming = (from: string, to: string) => `ALTER DATABASE ${identifier(from)} RENAME TO ${identifier(to)};`;
const dropping = (name: string) => `DROP DATABASE ${identifier(name)};`;
const endingSessions = (name: string) =>
  `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${literal(name)};`;
/** A command for a terminal; the statements of one text are one transaction. It asks for the password. */
const command = ({ unstoppable }: Exchanging, ...texts: readonly string[]): string =>
  ["psql", "-d", formatConninfo(unstoppable.keywords), ...texts.flatMap((text) => ["-c", text])].map(quote).join(" ");

/** As `Scratch.exchange`. Throws a `Failure`, and then nothing was exchanged. */
export async function exchange(exchanging: Exchanging): Promise<Exchanged | undefined> {
  const { present, target, unstoppable, fresh, time, properties } = exchanging;
  if (!target.exists) {
    await rename(exchanging, present.database);
    return undefined;
  }
  const before = besideName(present.database, "before", time);
  const renames = [renaming(present.database, before), renaming(fresh, present.database)];
  try {
    await withoutSessions(unstoppable, [present.database, fresh], transaction([...properties.late, ...renames]));
  } catch (error) {
    // a connection that broke may have broken behind the COMMIT
    const done = await hasDatabase(unstoppable, before).catch(() => undefined);
    if (!done) throw await explain(exchanging, error, { renames, lost: done === undefined });
  }
  await commentOn(exchanging, present.database);
  const dropBefore = () => dropDatabase(unstoppable, before);
  // somebody may have filled it during the load
  const isDropped = async () => (await isEmpty(inDatabase(unstoppable, before))) && (await dropBefore(), true);
  if (target.empty && (await isDropped().catch(() => false))) return undefined;
  const restored = fresh.replace(/_restoring_([\d_-]+)$/, "_restored_$1");
  const undo = `${renaming(present.database, restored)} ${renaming(before, present.database)}`;
  return {
    before,
    undo: command(exchanging, endingSessions(present.database), undo),
    drop: command(exchanging, dropping(before)),
    dropBefore,
  };
}

/** Gives the finished database another name. Throws a `Failure`; it stays as it is then. */
export async function rename(exchanging: Exchanging, name: string): Promise<void> {
  const { unstoppable, fresh, properties } = exchanging;
  const renames = name === fresh ? [] : [renaming(fresh, name)];
  await withoutSessions(unstoppable, [fresh], transaction([...properties.late, ...renames])).catch((cause: unknown) => {
    throw new Failure(`${messageOf(cause)}\nthe restored database is complete and stays as ${fresh}`, {
      hints: [`give it its name: ${command(exchanging, renames.join(" "))}`, `or drop it: ${dropping(fresh)}`],
      cause,
    });
  });
  await commentOn(exchanging, name);
}

async function commentOn({ unstoppable, properties: { comment } }: Exchanging, database: string): Promise<void> {
  if (comment === undefined) return;
  const sql = `BEGIN READ WRITE;\nCOMMENT ON DATABASE ${identifier(database)} IS ${text(comment)};\nCOMMIT;\n`;
  await execute(inDatabase(unstoppable, database), "the database's comment is not restored", sql).catch(
    (error: unknown) => unstoppable.log.warn(messageOf(error)),
  );
}

/** A load of hours is not thrown away for a session that would not end. */
async function explain(
  exchanging: Exchanging,
  cause: unknown,
  { renames, lost }: { renames: readonly string[]; lost: boolean },
): Promise<Failure> {
  const { present, unstoppable, fresh, properties } = exchanging;
  const kept = await execute(unstoppable, "cannot change the comment", properties.late.join("\n")).then(
    () => "",
    () => " until the next restore",
  );
  const state = lost
    ? "perhaps they were exchanged: look at the databases"
    : `${present.where} is as it was; the restored database is complete and stays as ${fresh}${kept}`;
  return new Failure(`${messageOf(cause)}\n${state}`, {
    hints: [
      `stop what uses the database, then exchange them as its owner: ${command(exchanging, renames.join(" "))}`,
      `or drop it: ${dropping(fresh)}`,
    ],
    cause,
  });
}

/**
 * Runs SQL that needs databases without sessions. PostgreSQL locks them against new ones and waits five seconds for those there are
 * to end: meanwhile they are ended here. A pooler keeps sessions in the new database too, which our own load had; where it has two
 * sessions for us, the lock and the exchange take both, so the exchange begins with ending those of others.
 */
async function withoutSessions(maintenance: Connection, databases: readonly string[], sql: string): Promise<void> {
  const endThem = `SELECT to_json(count(pg_terminate_backend(pid))) FROM pg_stat_activity
    WHERE datname IN (${databases.map(literal).join(", ")}) AND ${mayEnd}`;
  const work = execute(
    maintenance,
    `cannot exchange ${databases[0]} for the restored database`,
    `${patience}${endThem};\n${sql}`,
  );
  const over = work.then(
    () => true,
    () => true,
  );
  // the exchange reports who stays
  while (!(await Promise.race([over, pause(100)]))) await query(maintenance, endThem).catch(() => {});
  await work;
}
