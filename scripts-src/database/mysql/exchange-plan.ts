/** Which tables an exchange renames; pure. */
import { type ExchangeLog, logTable } from "./exchange-log.ts";
import { quoteName } from "./names.ts";
import { isTrigger, type Objects, type Table, viewsIn } from "./objects.ts";

type Tables = Pick<ExchangeLog, "old" | "fresh" | "aside" | "asideViews" | "loose" | "dropped">;

/** Names of foreign keys, each with its table. */
export type Keys = readonly { table: string; key: string }[];

interface Planned {
  live: Objects;
  fresh: readonly Table[];
  liveKeys: Keys;
  freshKeys: Keys;
  /** The server renames tables that are locked. */
  locks: boolean;
}

/**
 * A table with triggers cannot be renamed into another database, nor can a view. They are set aside within theirs; but where tables
 * can be locked meanwhile, or a foreign key would have the name of a new one, the triggers are dropped before.
 */
export function planTables({ live, fresh, liveKeys, freshKeys, locks }: Planned): Tables {
  const names = new Set(fresh.map(({ name }) => name));
  const newKeys = new Set(freshKeys.map(({ key }) => key));
  // a key that the server named is renamed with its table
  const clashing = liveKeys.filter(({ table, key }) => newKeys.has(key) && !key.startsWith(`${table}_ibfk_`));
  const stays = new Set(locks ? live.tables.map(({ name }) => name) : clashing.map(({ table }) => table));
  const asideViews = viewsIn(live.others).filter((view) => names.has(view));
  const triggers = live.others.filter(isTrigger);
  const withTriggers = new Set(triggers.map(({ table }) => table).filter((table) => !stays.has(table)));
  return {
    old: live.tables.map(({ name }) => name),
    fresh: [...names],
    aside: Object.fromEntries([...withTriggers, ...asideViews].map((name, i) => [name, `_backup_scripts_aside_${i}`])),
    asideViews,
    loose: [...live.tables, ...fresh].filter(({ engine }) => engine !== "InnoDB").map(({ name }) => name),
    dropped: triggers.filter(({ table }) => stays.has(table)).map(({ name }) => name),
  };
}

/** Locks everything that `exchangeStatement` renames, for whoever may and can do that. */
export const lockStatement = ({ database, source, old, fresh }: From, before: string): string =>
  `LOCK TABLES ${[
    logTable(before, "prepared"),
    ...old.map((name) => `${quoteName(database)}.${quoteName(name)}`),
    ...fresh.map((name) => `${quoteName(source)}.${quoteName(name)}`),
  ]
    .map((table) => `${table} WRITE`)
    .join(", ")}`;

type From = Pick<ExchangeLog, "database" | "source"> & Tables;
const move = (fromDatabase: string, from: string, toDatabase: string, to: string) =>
  `${quoteName(fromDatabase)}.${quoteName(from)} TO ${quoteName(toDatabase)}.${quoteName(to)}`;

/** A table can be called `constructor` or `__proto__`, which every object has. */
const asideOf = ({ aside }: From, name: string): string | undefined =>
  Object.hasOwn(aside, name) ? aside[name] : undefined;

/** With `apart` (`renamesApart`), tables without transactions are renamed one by one. */
const renames = (together: readonly string[], loose: readonly string[], apart: boolean): string[] =>
  (apart ? [together, ...loose.map((one) => [one])] : [[...together, ...loose]]).map(
    (moves) => `RENAME TABLE ${moves.join(", ")};\n`,
  );

/** The one statement that exchanges all tables; with `apart` others may follow it. */
export function exchangeStatements(from: From, before: string, apart: boolean): string {
  const { database, source, old, fresh, asideViews } = from;
  const [freshNames, oldNames, loose] = [new Set(fresh), new Set(old), new Set(from.loose)];
  const putAway = (name: string) => {
    const other = asideOf(from, name);
    return other === undefined ? move(database, name, before, name) : move(database, name, database, other);
  };
  const moves = (isLoose: boolean) => [
    ...old.filter((name) => !freshNames.has(name) && loose.has(name) === isLoose).map(putAway),
    ...fresh
      .filter((name) => loose.has(name) === isLoose)
      .flatMap((name) => [...(oldNames.has(name) ? [putAway(name)] : []), move(source, name, database, name)]),
  ];
  const together = [
    // first: where a crash can cut the statement in two, it is known that it has begun
    `${logTable(before, "prepared")} TO ${logTable(before, "exchanged")}`,
    ...asideViews.map(putAway),
    ...moves(false),
  ];
  // a crash among the others may leave some where they were; all before them is committed then
  return renames(together, moves(true), apart).join("");
}

/** Where tables are. */
export type Whereabouts = Record<"live" | "before" | "source", ReadonlySet<string>>;

/** What is still to be renamed, one after the other: tables set aside, and what a crash has cut off. */
export function finishingMoves(from: From, before: string, at: Whereabouts): string[] {
  const { database, source, old, fresh } = from;
  const freshNames = new Set(fresh);
  const moves: string[] = [];
  for (const name of old) {
    const other = asideOf(from, name);
    if (other !== undefined && at.live.has(other)) moves.push(move(database, other, before, name));
    // its name belongs to the new one once that has left its database
    else if (at.live.has(name) && !at.before.has(name) && (!freshNames.has(name) || at.source.has(name)))
      moves.push(move(database, name, before, name));
  }
  for (const name of fresh) if (at.source.has(name)) moves.push(move(source, name, database, name));
  return moves;
}

/** The one statement that takes an exchange back, and with `apart` others before it; triggers must be gone. */
export function takeBackStatements(from: From, before: string, at: Whereabouts, apart: boolean): string {
  const { database, source, old, fresh } = from;
  const loose = new Set(from.loose);
  const back = (isLoose: boolean) =>
    old
      .filter((name) => loose.has(name) === isLoose)
      .flatMap((name) => {
        const other = asideOf(from, name);
        if (at.before.has(name)) return [move(before, name, database, name)];
        return other !== undefined && at.live.has(other) ? [move(database, other, database, name)] : [];
      });
  const away = (isLoose: boolean) =>
    fresh
      .filter((name) => loose.has(name) === isLoose && at.live.has(name) && !at.source.has(name))
      .map((name) => move(database, name, source, name));
  const together = [
    `${logTable(before, "exchanged")} TO ${logTable(before, "taken_back")}`,
    ...away(false),
    ...back(false),
  ];
  const [main = "", ...others] = renames(together, [...away(true), ...back(true)], apart);
  return [...others, main].join("");
}
