/**
 * A new database beside the present one: nobody sees it before it is complete, and the present one serves its users meanwhile. It
 * takes the place of the present one by an exchange of names, is kept under a name of its own, or is dropped.
 */
import { setTimeout as pause } from "node:timers/promises";
import { messageOf, usageFailure } from "../../base/errors.ts";
import type { ScratchOptions } from "../restoring.ts";
import { inDatabase } from "./connection.ts";
import { exchange, type Exchanging, rename } from "./exchange.ts";
import { type Ground, transaction } from "./ground.ts";
import { dropDatabase, hasDatabase, patience } from "./maintenance.ts";
import { besideName, identifier, literal, markOf } from "./names.ts";
import type { PropertyStatements } from "./properties.ts";
import { execute } from "./session.ts";

/** Creates it, empty. `properties` gives the statements for its name. Throws `Failure`. */
export async function createBeside(
  ground: Ground,
  { purpose, name }: ScratchOptions,
  propertiesOf: (fresh: string) => Promise<PropertyStatements>,
) {
  const { present, maintenance } = ground;
  if (name !== undefined) await refuseTaken(ground, name);
  const time = await freeTime(ground);
  const fresh = besideName(present.database, purpose === "verify" ? "verify" : "restoring", time);
  const properties = await propertiesOf(fresh);
  // settings of a database are stored in the encoding of the session: only in the database itself they are read as they were meant
  const connection = inDatabase(present, fresh);
  /** For what is done in seconds, and could not be told when it was half done. */
  const unstoppable = { ...maintenance, signal: new AbortController().signal };
  let wanted = true;

  async function discard(): Promise<void> {
    if (!wanted) return;
    wanted = false;
    const { signal, log } = maintenance;
    const way = { ...maintenance, signal: signal.aborted ? AbortSignal.timeout(15_000) : signal };
    try {
      await dropDatabase(way, fresh);
    } catch (error) {
      log.warn(`the unfinished database ${fresh} may still exist, the next restore drops it: ${messageOf(error)}`);
    }
  }

  /** The first way that works; an error is that of the best one. */
  async function create(ways: readonly string[], mark: string): Promise<void> {
    const errors: unknown[] = [];
    for (const way of ways) {
      const what = `cannot create the database ${fresh}`;
      const failed = await execute(unstoppable, what, `${patience}${way}\n${mark}\n`).then(
        () => false,
        (error) => errors.push(error),
      );
      if (failed) continue;
      if (errors.length > 0)
        maintenance.log.warn(`the new database sorts and compares texts differently: ${messageOf(errors[0])}`);
      return;
    }
    throw errors[0];
  }

  try {
    // The server goes on with a CREATE DATABASE whose client has ended; psql goes on with its input when we have. Together they leave
    // no database without the comment by which it is found again.
    const mark = `COMMENT ON DATABASE ${identifier(fresh)} IS ${literal(markOf(present.database, ground.system))};`;
    await create([properties.create, ...properties.otherwise], mark);
    await execute(connection, `cannot set up the database ${fresh}`, transaction(properties.early));
    for (const sql of properties.optional)
      await execute(connection, "not restored of the database's properties", sql).catch((error: unknown) => {
        connection.signal.throwIfAborted();
        connection.log.warn(
          `${messageOf(error)} (${sql.replace(identifier(fresh), identifier(name ?? present.database))})`,
        );
      });
  } catch (error) {
    await discard();
    throw error;
  }
  maintenance.log.info(`created the database ${fresh}`);
  const exchanging: Exchanging = {
    ground,
    unstoppable,
    fresh,
    time,
    late: properties.late,
    comment: properties.comment,
  };
  return {
    connection,
    discard,
    async exchange() {
      present.signal.throwIfAborted();
      wanted = false;
      return exchange(exchanging);
    },
    async keep() {
      present.signal.throwIfAborted();
      wanted = false;
      await rename(exchanging, name ?? fresh);
    },
  };
}

async function refuseTaken({ maintenance }: Ground, name: string): Promise<void> {
  if (Buffer.byteLength(name) > 63)
    throw usageFailure(`--into ${name}: the name has more than 63 bytes`, "choose a shorter one");
  if (await hasDatabase(maintenance, name))
    throw usageFailure(`--into ${name}: this database exists already`, "choose another name, or drop it first");
}

/** A second of which no database beside has its name yet. */
async function freeTime({ present, maintenance }: Ground): Promise<Date> {
  for (;;) {
    const time = new Date();
    const names = (["restoring", "before", "verify"] as const).map((what) => besideName(present.database, what, time));
    if (!(await hasDatabase(maintenance, ...names))) return time;
    await pause(100);
  }
}
