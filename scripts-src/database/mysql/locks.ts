/** Locks of the server that keep two restores of a database apart, wherever they run. */
import { createHash } from "node:crypto";
import { exitStatus, Failure } from "../../base/errors.ts";
import type { Place } from "./connection.ts";
import { quoteText } from "./names.ts";
import { Session } from "./session.ts";

const lockName = (what: string, database: string): string =>
  quoteText(`backup_scripts ${what} ${createHash("sha256").update(database).digest("hex").slice(0, 32)}`);

/** How long (s) a killed restore is waited for: its client and the server may still do what they were given. */
const patience = 15;

/** Held from the first look at the database to the end. Throws a `Failure` with status 5 when another run holds it. */
export async function lockPurpose(place: Place, purpose: "restore" | "verify"): Promise<AsyncDisposable> {
  const { database, log } = place;
  await using lock = new AsyncDisposableStack();
  const session = lock.use(new Session(place, `cannot lock ${database}`));
  const name = lockName(purpose, database);
  session.write(place.settings);
  const got = await tryLock(session, name);
  if (got === "held") throw await heldBy(session, purpose, database, name);
  if (got === "unknown") log.warn(cannotLock);
  for (const what of purpose === "restore" ? ["change", ...loading] : [])
    await awaitEnd(session, lockName(what, database), database);
  return lock.move();
}

/** A killed program's clients and the server still do what they were given. */
async function awaitEnd(session: Session, name: string, database: string): Promise<void> {
  if ((await tryLock(session, name)) === "held") throw await heldBy(session, "restore", database, name);
  await session.ask(`DO RELEASE_LOCK(${name})`);
}

/** Sessions of a load. */
export const loading = ["load 0", "load 1", "load 2", "load 3"] as const;

/** What the session of a load begins with. */
export const holdWhileLoading = (database: string, session: number): string =>
  `DO GET_LOCK(${lockName(loading[session] ?? "", database)}, 0);\n`;

const cannotLock = "the server gives no locks: make sure that no other restore of this database runs at the same time";

async function tryLock(session: Session, name: string): Promise<"ours" | "held" | "unknown"> {
  const [[got] = []] = await session.ask(`SELECT GET_LOCK(${name}, ${patience})`);
  return got === "1" ? "ours" : got === "0" ? "held" : "unknown";
}

async function heldBy(session: Session, purpose: string, database: string, name: string): Promise<Failure> {
  const [[id = "NULL"] = []] = await session.ask(`SELECT IS_USED_LOCK(${name})`);
  return new Failure(`another ${purpose} of ${database} is still running on the server (session ${id})`, {
    status: exitStatus.locked,
    hints: [`wait for it, or end it when its program no longer runs: KILL ${id}`],
  });
}

/**
 * A session that changes what belongs to an exchange: only one at a time, also when the program of an earlier one was killed and the
 * server still carries out its statement. Throws `Failure`.
 */
export async function changing(place: Place, what: string): Promise<Session> {
  await using unfit = new AsyncDisposableStack();
  const session = unfit.use(new Session(place, what));
  session.write(place.settings);
  if ((await tryLock(session, lockName("change", place.database))) === "held")
    throw new Failure(`${what}: the server still carries out the statement of an earlier restore`, {
      hints: ["wait for it to end (SHOW PROCESSLIST), then run this again"],
    });
  unfit.move();
  return session;
}
