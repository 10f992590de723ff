/** What a database holds, and the SQL that makes its views, triggers, events and routines. */
import { Failure } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { type Connection, everywhere } from "./connection.ts";
import { plainEvent } from "./filter.ts";
import { asBytes, quoteName, quoteText } from "./names.ts";
import { query, type Session } from "./session.ts";

export interface Table {
  name: string;
  /** "InnoDB" */
  engine: string;
  kind: "BASE TABLE" | "SYSTEM VERSIONED" | "SEQUENCE";
}

/** Anything but a table. */
export interface Other {
  /** "VIEW", "TRIGGER", "EVENT", "PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY" */
  kind: string;
  name: string;
  /** Of a trigger; a view's own name. */
  table: string;
}

export interface Objects {
  tables: Table[];
  /** Triggers in the order in which they were created, for each table and event. */
  others: Other[];
}

/** What tells it from the others of a database: "VIEW v". */
export const idOf = ({ kind, name }: Pick<Other, "kind" | "name">): string => `${kind} ${name}`;
export const isTrigger = ({ kind }: Pick<Other, "kind">): boolean => kind === "TRIGGER";
export const viewsIn = (objects: readonly Other[]): string[] =>
  objects.filter(({ kind }) => kind === "VIEW").map(({ name }) => name);

/** Tables of our own in databases beside the present one. */
const ownTable = /^_backup_scripts_/;

/** The events of a database. MariaDB also finds those of one whose name differs in capital letters alone. */
const eventsOf = (schema: string): string =>
  `information_schema.events WHERE event_schema = ${schema}
    AND (@@lower_case_table_names <> 0 OR CAST(event_schema AS BINARY) = CAST(${schema} AS BINARY))`;

/** Asks what a database holds; by `trigger_schema`, which says the same, MariaDB would open every table of the server. */
export const objectsQuestion = (schema: string): string => `
  SELECT if(table_type = 'VIEW', 'other', 'table'), table_name, table_type, if(table_type = 'VIEW', table_name, coalesce(engine, ''))
    FROM information_schema.tables WHERE table_schema = ${schema} AND table_type <> 'SYSTEM VIEW' ORDER BY table_name;
  SELECT 'other', trigger_name, 'TRIGGER', event_object_table FROM information_schema.triggers
    WHERE event_object_schema = ${schema} ORDER BY event_object_table, action_timing, event_manipulation, action_order;
  SELECT 'other', routine_name, routine_type, '' FROM information_schema.routines WHERE routine_schema = ${schema};
  SELECT 'other', event_name, 'EVENT', '' FROM ${eventsOf(schema)}`;

/** What a database holds, but for tables of our own. `rows` are the answers to `objectsQuestion`, and others. */
export function objectsFrom(rows: readonly string[][]): Objects {
  const tagged = (tag: string) => rows.filter((row) => row[0] === tag);
  return {
    tables: tagged("table")
      .map(([, name = "", kind, engine = ""]) => ({ name, kind: kind as Table["kind"], engine }))
      .filter(({ name }) => !ownTable.test(name)),
    others: tagged("other").map(([, name = "", kind = "", table = ""]) => ({ kind, name, table })),
  };
}

export const listObjects = async (session: Pick<Session, "ask">, database: string): Promise<Objects> =>
  objectsFrom(await session.ask(objectsQuestion(quoteText(database))));

/**
 * Statements that drop everything but tables. The views come first, and at once: where one may not be dropped, nothing was changed. Those
 * who may not drop a trigger's view may not make the trigger again: triggers come last.
 */
export function dropObjects(database: string, objects: readonly Other[]): string {
  const full = (name: string) => `${quoteName(database)}.${quoteName(name)}`;
  const drop = (wanted: string) =>
    objects
      .filter(({ kind }) => kind === wanted)
      .map(({ name }) => `DROP ${wanted} IF EXISTS ${full(name)};\n`)
      .join("");
  const views = viewsIn(objects).map(full).join(", ");
  // a package takes its body along; MariaDB knows that statement in this mode alone
  const packages = drop("PACKAGE");
  return [
    views && `DROP VIEW IF EXISTS ${views};\n`,
    ...["EVENT", "PROCEDURE", "FUNCTION"].map(drop),
    packages && `SET @mode = @@sql_mode, sql_mode = 'ORACLE';\n${packages}SET sql_mode = @mode;\n`,
    drop("TRIGGER"),
  ].join("");
}

/** The collation of tables that name none; undefined where the server has no such database. */
export async function collationOf(session: Session, database: string): Promise<string | undefined> {
  const rows = await session.ask("SELECT schema_name, default_collation_name FROM information_schema.schemata");
  return rows.find(([name]) => name === database)?.[1];
}

/** Where a statement ends that may hold any text; clients take no more than 15 letters. */
const delimiter = "$$;;bscripts;;";

interface Made {
  sql: string;
  modes?: string;
  zone?: string;
  client: string | undefined;
  collation: string | undefined;
  /** Of the database when it was made. */
  home?: string;
}

/** What SHOW CREATE says, by kind: where in the row its parts stand. */
function made(kind: string, row: readonly string[]): Made {
  if (kind === "VIEW") return { sql: row[1] ?? "", client: row[2], collation: row[3] };
  const [, modes, ...rest] = row;
  const [zone, sql = "", client, collation, home] = kind === "EVENT" ? rest : [undefined, ...rest];
  return { sql, modes, zone, client, collation, home };
}

/** Every view as one of constants first: whatever the order, what it selects from is there. */
const placeholders = async (session: Session, database: string, views: readonly string[]): Promise<Remade[]> => {
  const columns = await session.askBytes(
    `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = ${quoteText(database)} ORDER BY table_name, ordinal_position`,
  );
  const byView = Map.groupBy(columns, ([view = ""]) => view);
  return views.flatMap((name) => {
    const view = asBytes(name);
    const names = (byView.get(view) ?? []).map(([, column = ""]) => `1 AS ${quoteName(column)}`);
    const sql = `SET NAMES utf8mb4;\nCREATE OR REPLACE VIEW ${quoteName(view)} AS SELECT ${names.join(", ")};\n`;
    return names.length > 0 ? [{ kind: "VIEW", name, sql }] : [];
  });
};

/** Anything but a table, and the SQL that makes it in the session's database: a letter for each byte. */
export interface Remade {
  kind: string;
  name: string;
  sql: string;
}

export const sqlOf = (objects: readonly Remade[]): string => objects.map(({ sql }) => sql).join("");

/** What can be made before what. */
const order = ["TRIGGER", "PACKAGE", "FUNCTION", "PROCEDURE", "PACKAGE BODY", "VIEW", "EVENT"];

/** The SQL that makes them again, in an order in which it can be; every view is first one of constants. */
export async function recreate(session: Session, database: string, objects: readonly Other[]): Promise<Remade[]> {
  const wanted = objects.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  if (wanted.length === 0) return [];
  // a view's tables in the session's database are shown without its name
  await session.ask(
    `USE ${quoteName(database)}; SET @results = @@character_set_results, @mode = @@sql_mode, character_set_results = binary, sql_mode = ''`,
  );
  const show = wanted.map(({ kind, name }) => `SHOW CREATE ${kind} ${quoteName(database)}.${quoteName(name)}`);
  const rows = await session.askBytes(show.join(";\n"));
  const standIns = await placeholders(session, database, viewsIn(wanted));
  const home = (await collationOf(session, database)) ?? "";
  await session.ask(`USE ${everywhere}; SET character_set_results = @results, sql_mode = @mode`);
  const shown = wanted.map(({ kind, name }, i) => ({ kind, name, ...made(kind, rows[i] ?? []) }));
  const hidden = shown.filter(({ sql }) => sql === "NULL").map(({ kind, name }) => `${kind.toLowerCase()} ${name}`);
  if (hidden.length > 0)
    throw new Failure(`the user cannot read these, so a restore would lose them: ${hidden.join(", ")}`, {
      hints: [
        "GRANT SELECT ON mysql.proc (MariaDB) or SHOW_ROUTINE ON *.* (MySQL) TO the user, or restore as an administrator",
      ],
    });
  // MySQL replaces no view by one of JSON documents
  const drop = (name: string) => `SET NAMES utf8mb4;\nDROP VIEW IF EXISTS ${quoteName(asBytes(name))};\n`;
  const remade = shown.map((one) => ({
    kind: one.kind,
    name: one.name,
    sql: (one.kind === "VIEW" ? drop(one.name) : "") + statement(one, home),
  }));
  const firstView = shown.findIndex(({ kind }) => kind === "VIEW");
  if (firstView >= 0) remade.splice(firstView, 0, ...standIns);
  return remade;
}

function statement({ sql, modes, zone, client, collation, home }: Made, now: string): string {
  const settings = [
    `sql_mode = '${modes ?? ""}'`,
    `character_set_client = ${client}`,
    `collation_connection = ${collation}`,
    ...(zone === undefined ? [] : [`time_zone = '${zone}'`]),
  ];
  // of the database's collation a routine keeps what its parameters do not say themselves
  const differs = home !== undefined && home !== now;
  const set = (name: string) => (differs ? `ALTER DATABASE COLLATE ${name};\n` : "");
  return `SET SESSION ${settings.join(", ")};\n${set(home ?? "")}DELIMITER ${delimiter}\n${plainEvent(sql)}\n${delimiter}\nDELIMITER ;\n${set(now)}`;
}

const whyBroken = "cannot be used (a table or column is missing, or its definer lacks a right)";

/** Views of which a table or column is missing, or whose definer lacks a right to one. */
async function brokenViews(
  session: Pick<Session, "ask">,
  database: string,
  views: readonly string[],
): Promise<string[]> {
  if (views.length === 0) return [];
  const list = views.map((view) => `${quoteName(database)}.${quoteName(view)}`).join(", ");
  const rows = await session.ask(`CHECK TABLE ${list}`);
  const bad = new Set(rows.filter(([, , kind]) => kind?.toLowerCase() === "error").map(([name = ""]) => name));
  return views.filter((view) => bad.has(`${database}.${view}`));
}

/** Those that can be made again; a warning names the others. */
export async function intactOf(session: Session, database: string, objects: readonly Other[], log: Logger) {
  const broken = await brokenViews(session, database, viewsIn(objects));
  for (const view of broken) log.warn(`the view ${view} ${whyBroken}: it will be missing if the restore is taken back`);
  return objects.filter(({ kind, name }) => kind !== "VIEW" || !broken.includes(name));
}

/** Options of the dump program that leave broken views out; a warning keeps the definition of each. Throws `Failure`. */
export async function withoutBroken(connection: Connection): Promise<string[]> {
  const { database } = connection.target;
  const ask = (sql: string) => query(connection, sql);
  const views = await ask(
    `SELECT table_name FROM information_schema.views WHERE table_schema = ${quoteText(database)}`,
  );
  const broken = await brokenViews({ ask }, database, views.flat());
  for (const view of broken) {
    const shown = await ask(`SHOW CREATE VIEW ${quoteName(database)}.${quoteName(view)}`).catch(() => []);
    connection.log.warn(
      `the view ${view} ${whyBroken}: it is left out; its definition: ${shown[0]?.[1] ?? "cannot be read"}`,
    );
  }
  return broken.map((view) => `--ignore-table=${database}.${view}`);
}
