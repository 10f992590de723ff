/** Views, triggers, events and routines of the present database: dropped, and made again where an exchange is taken back. */
import type { Place } from "./connection.ts";
import { asBytes, quoteName } from "./names.ts";
import { dropObjects, idOf, listObjects, type Other, type Remade, sqlOf } from "./objects.ts";
import { refusalIn, Session } from "./session.ts";

/** Hands over the SQL of objects for the present database. */
export function runObjects({ settings, database }: Place, session: Session, sql: string): void {
  session.write(`USE ${quoteName(database)};\n`, Buffer.from(sql, "latin1"), `\nSET NAMES utf8mb4;\n${settings}`);
}

/** Carries SQL out in the present database, in a session of its own; returns why the server refuses it. Throws `Failure`. */
async function refusalOf(place: Place, sql: string): Promise<string | undefined> {
  await using session = new Session(place, `cannot change ${place.database}`);
  try {
    session.write(place.settings);
    runObjects(place, session, sql);
    await session.settled();
    return undefined;
  } catch (error) {
    const why = refusalIn(error);
    if (why === undefined) throw error;
    return why;
  }
}

/** Drops these. MySQL lets only users with SYSTEM_USER drop views and programs of those who have it: such are left. Throws `Failure`. */
export async function clear(place: Place, objects: readonly Other[]): Promise<void> {
  const drop = (some: readonly Other[]) => refusalOf(place, asBytes(dropObjects(place.database, some)));
  if ((await drop(objects)) !== undefined) for (const one of objects) await drop([one]);
}

/**
 * Makes again what is missing. What the server refuses keeps nothing else from coming back: a warning holds its definition. Returns the
 * names of that. Throws `Failure`.
 */
export async function remake(place: Place, session: Session, objects: readonly Remade[]): Promise<string[]> {
  const { log, database } = place;
  const listed = async () => (await listObjects(session, database)).others;
  const present = new Set((await listed()).map(idOf));
  const missing = objects.filter((one) => !present.has(idOf(one)));
  if ((await refusalOf(place, sqlOf(missing))) === undefined) return [];
  for (const made of (await listed()).filter((one) => !present.has(idOf(one)))) await clear(place, [made]);
  const lost: string[] = [];
  for (const { kind, name, sql } of missing) {
    const why = await refusalOf(place, sql);
    if (why === undefined) continue;
    lost.push(`${kind.toLowerCase()} ${name}`);
    // the one of constants
    if (kind === "VIEW") await session.ask(`DROP VIEW IF EXISTS ${quoteName(database)}.${quoteName(name)}`);
    const definition = Buffer.from(sql, "latin1").toString();
    log.warn(`the ${kind.toLowerCase()} ${name} could not be made again (${why}); its definition: ${definition}`);
  }
  return lost;
}
