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

/** A table, and how it is renamed. */
type Move = readonly [table: string, words: string];

/** One statement, with tables without transactions last; with `apart` (`renamesApart`) each of these has one of its own. */
function renames(first: readonly string[], moves: readonly Move[], { loose }: From, apart: boolean): string[] {
  const others = new Set(loose);
  const of = (isLoose: boolean) => moves.filter(([name]) => others.has(name) === isLoose).map(([, words]) => words);
  // a crash among the others may leave some where they were; all before them is committed then
  const statements = apart
    ? [[...first, ...of(false)], ...of(true).map((one) => [one])]
    : [[...first, ...of(false), ...of(true)]];
  return statements.map((words) => `RENAME TABLE ${words.join(", ")};\n`);
}

/** The one statement that exchanges all tables; with `apart` others may follow it. */
export function exchangeStatements(from: From, before: string, apart: boolean): string {
  const { database, source, old, fresh, asideViews } = from;
  const [freshNames, oldNames] = [new Set(fresh), new Set(old)];
  const putAway = (name: string) => {
    const other = asideOf(from, name);
    return other === undefined ? move(database, name, before, name) : move(database, name, database, other);
  };
  const moves = [...old.filter((name) => !freshNames.has(name)), ...fresh].flatMap((name): Move[] => [
    ...(oldNames.has(name) ? [[name, putAway(name)] as const] : []),
    ...(freshNames.has(name) ? [[name, move(source, name, database, name)] as const] : []),
  ]);
  // first: where a crash can cut the statement in two, it is known that it has begun
  const begin = `${logTable(before, "prepared")} TO ${logTable(before, "exchanged")}`;
  return renames([begin, ...asideViews.map(putAway)], moves, from, apart).join("");
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
  const back = old.flatMap((name): Move[] => {
    const other = asideOf(from, name);
    if (at.before.has(name)) return [[name, move(before, name, database, name)]];
    return other !== undefined && at.live.has(other) ? [[name, move(database, other, database, name)]] : [];
  });
  const away = fresh
    .filter((name) => at.live.has(name) && !at.source.has(name))
    .map((name): Move => [name, move(database, name, source, name)]);
  const end = `${logTable(before, "exchanged")} TO ${logTable(before, "taken_back")}`;
  const [main = "", ...others] = renames([end], [...away, ...back], from, apart);
  return [...others, main].join("");
}
