/** Loading into the present database itself, which is emptied first: what fails then cannot be taken back. */
import { Failure, messageOf } from "../../base/errors.ts";
import type { Loaded, LoadOptions } from "../restoring.ts";
import type { Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { load } from "./load.ts";
import { changing } from "./locks.ts";
import { quoteName } from "./names.ts";
import { dropObjects, isTrigger, listObjects, type Objects } from "./objects.ts";
import { loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { Session } from "./session.ts";

/** Throws `Failure`; the message says whether anything was changed. */
export async function loadInPlace(
  place: Place,
  serverInfo: ServerInfo,
  sql: AsyncIterable<Uint8Array>,
  contents: DumpContents,
  { noOwner, asleep }: Pick<LoadOptions, "noOwner" | "asleep">,
): Promise<Loaded> {
  const { database } = place;
  await empty(place);
  const rules = loadRules(contents, serverInfo, { database, noOwner, asleep });
  try {
    return await load(place, sql, { rules, rows: contents.rows, present: database });
  } catch (error) {
    if (!(error instanceof Failure) || place.signal.aborted) throw error;
    const { status, hints, cause, message } = error;
    throw new Failure(`${message}\nthe database may now be neither as it was nor as in the backup`, {
      status,
      hints,
      cause,
    });
  }
}

/** Removes everything, once no other session holds a table. */
async function empty(place: Place): Promise<void> {
  const { database } = place;
  await using session = await changing(place, `cannot empty ${database}`);
  const objects = await listObjects(session, database);
  await awaitLocks(place, objects);
  const tables = objects.tables.map(
    ({ kind, name }) =>
      `DROP ${kind === "SEQUENCE" ? "SEQUENCE" : "TABLE"} ${quoteName(database)}.${quoteName(name)};\n`,
  );
  const others = objects.others.filter((one) => !isTrigger(one));
  await session.ask(`${dropObjects(database, others)}${tables.join("")}DO 0`);
}

/** Waits until no other session's transaction holds a table, while nothing has been touched yet. Throws `Failure`. */
async function awaitLocks(place: Place, { tables }: Objects): Promise<void> {
  const list = tables
    .filter(({ kind }) => kind !== "SEQUENCE")
    .map(({ name }) => `${quoteName(place.database)}.${quoteName(name)} WRITE`);
  if (list.length === 0) return;
  const what = `${place.where} is in use, and nothing was changed`;
  await using session = new Session(place, what);
  try {
    session.write(place.settings);
    // without autocommit InnoDB's own locks count, too: all that MariaDB keeps of a prepared transaction (XA)
    await session.ask(`SET autocommit = 0; LOCK TABLES ${list.join(", ")}`);
  } catch (error) {
    place.signal.throwIfAborted();
    // any other trouble, a damaged table say, may be just why there is a restore
    if (/ERROR 1205\b/.test(messageOf(error))) throw error;
  }
}
