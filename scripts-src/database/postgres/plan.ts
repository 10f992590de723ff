/** Compares what a dump names with what the server and the database have, before anything is touched. */
import { listed, listOf } from "../../base/text.ts";
import type { Server } from "../database.ts";
import type { LoadOptions, RestorePlan } from "../restoring.ts";
import { DumpContents } from "./contents.ts";
import type { LoadRules } from "./filter.ts";
import type { PostgresTarget } from "./target.ts";

/** pg_cron can live in one database of a server alone: the one that cron.database_name names. */
export const hasCron = ({ extensions }: DumpContents): boolean => extensions.has("pg_cron");

/** What a load of a dump is to bring: no pg_cron with `asleep`. */
export function contentsToLoad(contents: DumpContents, { asleep }: Pick<LoadOptions, "asleep">): DumpContents {
  if (!asleep || !hasCron(contents)) return contents;
  const extensions = new Set([...contents.extensions].filter((name) => name !== "pg_cron"));
  const rows = new Map([...contents.rows].filter(([table]) => !table.startsWith("cron.")));
  return Object.assign(new DumpContents(), contents, { extensions, rows });
}

/** Each problem ends in its remedy. */
export function comparePlan(
  dump: DumpContents,
  server: Server,
  target: PostgresTarget,
  { noOwner, asleep, proof = false }: LoadOptions,
): RestorePlan {
  const contents = contentsToLoad(dump, { asleep });
  const withoutExtensions = extensionProblems(contents, target);
  const createProblems = [...findCreateProblems(target), ...(proof ? [] : withoutExtensions.create)];
  const besideProblems = findBesideProblems(contents, target);
  return {
    problems: [
      ...misplacedRows(contents),
      ...(proof ? [] : withoutExtensions.install),
      ...missing(
        "tablespace",
        [...contents.tablespaces].filter((name) => !target.tablespaces.includes(name)),
        () => "create them, or back up with DB_DUMP_OPTIONS=--no-tablespaces",
      ),
      ...(noOwner ? [] : roleProblems(contents, target)),
    ],
    createProblems,
    besideProblems,
    inPlaceProblems: findInPlaceProblems(contents, target),
    waived: proof ? Object.values(withoutExtensions).flat() : [],
    warnings: findWarnings(contents, server, target, noOwner),
    fillsEmpty: target.exists && target.empty && createProblems.length + besideProblems.length > 0,
  };
}

/** What the load leaves out: of a new database, or in place of what is there. */
export function loadRules(
  contents: DumpContents,
  { major }: Server,
  target: PostgresTarget,
  { noOwner, asleep, proof = false }: LoadOptions,
  where: "beside" | "in place",
): LoadRules {
  const inPlace = where === "in place";
  // template0's schema public belongs to the administrator before version 15, and then to whoever owns the database
  const publicOwner = target.superuser || major >= 15 ? "ours" : "foreign";
  const madeAnew = publicOwner === "ours" && contents.schemas.has("public");
  return {
    noOwner,
    oneTransaction: inPlace,
    asleep,
    withoutCron: asleep && hasCron(contents),
    major,
    user: target.user,
    superuser: target.superuser,
    foreignRoles: new Set(target.foreignRoles),
    keptExtensions: new Set([
      ...(inPlace ? target.keptExtensions : target.superuser ? [] : ["plpgsql"]),
      ...(proof ? [...notInstalled(contents, target), ...notCreatable(contents, target)] : []),
    ]),
    keptRelations: new Set(inPlace ? target.keptRelations : []),
    keptRoutines: new Set(inPlace ? target.keptRoutines : []),
    // a schema public that the dump creates takes the place of template0's
    keptSchemas: new Map(inPlace ? target.keptSchemas : madeAnew ? [] : [["public", publicOwner]]),
    mappings: new Map(target.mappings),
    leftOut: new Set(noOwner ? withoutRole(contents, target) : []),
  };
}

const findCreateProblems = ({ user, mayCreate, maintenance }: PostgresTarget): string[] =>
  listOf(
    !mayCreate && `${user} cannot create databases: ALTER ROLE ${user} CREATEDB`,
    maintenance === undefined &&
      `there is no other database that ${user} can connect to: allow the login to connect to the database postgres`,
  );

/** Extensions that no new database on this server can have: their packages are missing, or the user may not create them. */
function extensionProblems(contents: DumpContents, target: PostgresTarget) {
  const forbidden = notCreatable(contents, target).join(", ");
  return {
    install: missing(
      "extension",
      notInstalled(contents, target),
      (names) => `install their packages on the database server: ${names}`,
    ),
    create: listOf(
      forbidden !== "" && `${target.user} cannot create the extension ${forbidden}: restore as a superuser`,
    ),
  };
}

const notInstalled = ({ extensions }: DumpContents, target: PostgresTarget): string[] =>
  [...extensions].filter((name) => !target.extensions.includes(name));

/** Why a new database cannot take the place of the present one. */
function findBesideProblems(contents: DumpContents, target: PostgresTarget): string[] {
  const { user, name, exists, owns, tied, lasting, isMaintenance, foreignSetting } = target;
  if (!exists) return [];
  return listOf(
    !owns && `${user} does not own the database: restore as its owner, or as a superuser`,
    isMaintenance && `programs connect to the database ${name} when they look for the server`,
    foreignSetting && `${user} may not give a new database what an administrator has set: ${foreignSetting}`,
    hasCron(contents) && "pg_cron works in this database alone (cron.database_name)",
    tied.length > 0 && `${listed(tied)} would stay with the present database: drop what is no longer needed`,
    lasting.length > 0 &&
      `sessions of ${listed(lasting)} are open, which ${user} cannot end: stop them, or GRANT pg_signal_backend TO ${user}`,
  );
}

function findInPlaceProblems(contents: DumpContents, target: PostgresTarget): string[] {
  const { user, exists, removals, installed, prepared } = target;
  if (!exists) return [`the database does not exist: create it, or let ${user} create it: ALTER ROLE ${user} CREATEDB`];
  const foreign = removals.filter(({ ours }) => !ours).map(({ what }) => what);
  const extensions = notCreatable(contents, target).filter((name) => !installed.includes(name));
  return listOf(
    prepared.length > 0 &&
      `prepared transactions hold locks for ever: ${prepared.join(", ")}; end each with COMMIT PREPARED or ROLLBACK PREPARED`,
    foreign.length > 0 && `${user} does not own ${listed(foreign)}: restore as its owner, or as a superuser`,
    extensions.length > 0 &&
      `${user} cannot create the extension ${extensions.join(", ")}: create it as a superuser first`,
  );
}

/** Extensions that only a superuser, or who made them here before, can create. */
const notCreatable = ({ extensions }: DumpContents, { superuser, trusted, ownExtensions }: PostgresTarget): string[] =>
  superuser
    ? []
    : [...extensions].filter((name) => name !== "plpgsql" && !trusted.includes(name) && !ownExtensions.includes(name));

function findWarnings(contents: DumpContents, server: Server, target: PostgresTarget, noOwner: boolean): string[] {
  const from = Number.parseInt(contents.serverVersion ?? "0", 10);
  const absent = noOwner ? withoutRole(contents, target) : [];
  const lost = target.publications.filter((name) => !contents.publications.has(name));
  return listOf(
    from > server.major &&
      `the dump comes from PostgreSQL ${from}, which is newer than the server, ${server.version}: it may not load`,
    lost.length > 0 &&
      `publications are not in the backup and will be missing, subscribers get nothing more: ${lost.join(", ")}`,
    contents.subscriptions.size > 0 &&
      `subscriptions come back disabled (${[...contents.subscriptions].join(", ")}): ` +
        "ALTER SUBSCRIPTION … ENABLE when the publisher still has what they need",
    absent.length > 0 && `left out, because the roles they name do not exist: ${absent.join(", ")}`,
    target.unproven.length > 0 &&
      `databases that earlier restores have left, drop them when nothing needs them: ${listed(target.unproven)}`,
  );
}

/** Rows that belong elsewhere: those of foreign tables, and those of tables that the dump does not create. */
export function misplacedRows({ rows, tables, foreignTables, extensions }: DumpContents): string[] {
  const made = new Set(tables);
  const without = [...rows.keys()].filter((table) => !made.has(table));
  const remote = [...rows.keys()].filter((table) => foreignTables.has(table));
  return listOf(
    remote.length > 0 &&
      `the dump holds rows of foreign tables (${listed(remote)}), which a load would write to where they come from ` +
        "(pg_dump --include-foreign-data): restore a backup without them, or load it with psql if you want that",
    without.length > 0 &&
      made.size + extensions.size === 0 &&
      `the dump holds rows of ${listed(without)} without the tables themselves (pg_dump --data-only): ` +
        "restore a complete backup, or load it with psql into a database that has the tables",
  );
}

function missing(what: string, absent: readonly string[], remedy: (names: string) => string): string[] {
  if (absent.length === 0) return [];
  const names = absent.join(", ");
  return [`${what}${absent.length > 1 ? "s" : ""} not on the server: ${names}; ${remedy(names)}`];
}

function roleProblems(contents: DumpContents, target: PostgresTarget): string[] {
  const needed = new Set([...contents.roles, ...[...contents.needRoles.values()].flat()]);
  for (const everybody of ["PUBLIC", "public"]) needed.delete(everybody);
  const absent = [...needed].filter((role) => !target.roles.includes(role));
  return missing("role", absent, () => {
    const create = absent.map((name) => `CREATE ROLE "${name.replaceAll('"', '""')}" LOGIN;`);
    return `create them (${create.join(" ")}) or restore with --no-owner`;
  });
}

const withoutRole = (contents: DumpContents, target: PostgresTarget): string[] =>
  [...contents.needRoles]
    .filter(([, roles]) => roles.some((role) => role.toUpperCase() !== "PUBLIC" && !target.roles.includes(role)))
    .map(([what]) => what);
