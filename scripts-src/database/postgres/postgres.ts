/** PostgreSQL: `pg_dump` and `psql` behind the interface of a database engine. */
import parseWords from "string-argv";
import { Failure, usageFailure } from "../../shared/errors.ts";
import { shell, start } from "../../shared/process.ts";
import { retry } from "../../shared/retry.ts";
import type { Settings } from "../../shared/settings.ts";
import type { Contents, Database, DatabaseContext, LoadOptions, LoadPlan, Server } from "../database.ts";
import {
  clientTooOld,
  findClients,
  fittingClient,
  knowsRestrict,
  missingProgram,
  newest,
  type Client,
} from "./clients.ts";
import { formatConninfo, targetFromSettings } from "./conninfo.ts";
import {
  checkHead,
  type DumpContents,
  emptyContents,
  isComplete,
  loadable,
  readPiece,
  tailLength,
} from "./contents.ts";
import { clientFailure, isTemporary } from "./explain.ts";
import { comparePlan, type PostgresPlan, type Target, targetQuery } from "./plan.ts";
import { splitStatements } from "./statements.ts";

/** Options that would break what a backup promises, or that are ours to set. */
const refusedOptions =
  /^(-[fFZjCdhpUWV?].*|--(file|format|compress|jobs|create|dbname|host|port|username|password|version|help)(=.*)?)$/;

/** Printed by psql after the COMMIT: without it nothing is believed. */
const committedMark = "backup_scripts: committed";

/** Opens nothing yet. Throws `Failure` when the settings do not name a database. */
export function openPostgres(settings: Settings, { log, signal }: DatabaseContext): Database {
  const target = targetFromSettings(settings);
  const conninfo = formatConninfo([...target.keywords, ["fallback_application_name", "backup_scripts"]]);
  const env = {
    PGCONNECT_TIMEOUT: process.env.PGCONNECT_TIMEOUT ?? "10",
    ...(target.password === undefined ? {} : { PGPASSWORD: target.password }),
  };
  const folder = settings.DB_CLIENT_DIR;
  const dumpOptions = parseWords(settings.DB_DUMP_OPTIONS ?? "");
  const refused = dumpOptions.find((word) => refusedOptions.test(word));
  if (refused) {
    throw usageFailure(
      `DB_DUMP_OPTIONS: ${refused} cannot be used`,
      "format, compression, file and connection have settings of their own",
    );
  }
  const $ = shell(env, signal);
  let clients: { psql: Client; dump: Client } | undefined;

  const psqlArguments = ["--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1", `--dbname=${conninfo}`];

  async function findPsql(): Promise<Client> {
    // a folder that holds pg_dump alone is good enough to dump with
    const psql = newest(await findClients("psql", folder)) ?? newest(await findClients("psql", undefined));
    if (!psql) throw missingProgram("psql", folder);
    return psql;
  }

  async function query<T>(psql: Client, sql: string): Promise<T> {
    const safe = `SET search_path = pg_catalog; ${sql}`;
    const result = await $`${psql.path} ${psqlArguments} --tuples-only --no-align --command=${safe} < /dev/null`;
    signal.throwIfAborted();
    if (result.exitCode !== 0) throw clientFailure(`cannot query ${target.where}`, result.exitCode ?? 1, result.stderr);
    return JSON.parse(result.stdout) as T;
  }

  async function probe(): Promise<Server> {
    const [psql, dumps] = await Promise.all([findPsql(), findClients("pg_dump", folder)]);
    if (dumps.length === 0) throw missingProgram("pg_dump", folder);
    const said = await retry(`connection to ${target.where}`, () => query<Probe>(psql, probeQuery), {
      log,
      signal,
      again: isTemporary,
    });
    const major = Math.floor(said.number / 10_000);
    const dump = fittingClient(dumps, major);
    if (!dump) throw clientTooOld(dumps, said.version, major);
    clients = { psql, dump };
    const warnings = dump.major === 0 ? [`${dump.path} does not tell its version: it may not fit the server`] : [];
    return {
      version: `PostgreSQL ${said.version.split(" ")[0]}`,
      major,
      client: `pg_dump ${dump.version || "of unknown version"}`,
      encoding: said.encoding,
      dataBytes: said.bytes,
      warnings,
    };
  }

  function found(): { psql: Client; dump: Client } {
    if (!clients) throw new Error("probe() comes first");
    return clients;
  }

  async function* dump(): AsyncGenerator<Uint8Array> {
    const words = ["--format=plain", "--clean", "--if-exists", "--no-password", ...dumpOptions, `--dbname=${conninfo}`];
    const program = start([found().dump.path, ...words], { env, signal });
    await program.stdin.end();
    let tail: Buffer = Buffer.alloc(0);
    let ended = false;
    try {
      for await (const chunk of program.stdout) {
        tail = endOf(tail, chunk);
        yield chunk;
      }
      ended = true;
    } finally {
      if (!ended) program.stop();
    }
    const [status, stderr] = [await program.exited, await program.stderr];
    signal.throwIfAborted();
    if (status !== 0) throw clientFailure(`pg_dump of ${target.where} failed`, status, stderr);
    if (!isComplete(tail)) {
      throw new Failure("pg_dump exited with status 0, but the dump is not whole: its last line is missing", {
        hints: [`look at ${found().dump.path}: it stopped early without saying so`],
      });
    }
    if (stderr) log.warn(`pg_dump says: ${stderr}`);
  }

  async function examine(sql: AsyncIterable<Uint8Array>): Promise<DumpContents> {
    const contents = emptyContents();
    let tail: Buffer = Buffer.alloc(0);
    let head: Buffer = Buffer.alloc(0);
    async function* watched() {
      for await (const chunk of sql) {
        if (head.length < 4096) {
          head = Buffer.concat([head, chunk]);
          if (head.length >= 4096) checkHead(head);
        }
        tail = endOf(tail, chunk);
        contents.bytes += chunk.length;
        yield chunk;
      }
      if (head.length < 4096) checkHead(head);
    }
    for await (const piece of splitStatements(watched())) readPiece(contents, piece);
    if (!isComplete(tail)) {
      throw new Failure("the dump is not whole: it does not end in pg_dump's last line", {
        hints: ["the file is cut short, or pg_dump was stopped while it was made: choose another backup"],
      });
    }
    contents.serverVersion = /^-- Dumped from database version (\S+)/m.exec(head.toString("latin1", 0, 4096))?.[1];
    contents.roles.delete("PUBLIC");
    return contents;
  }

  async function plan(contents: Contents, server: Server, options: LoadOptions): Promise<PostgresPlan> {
    return comparePlan(contents as DumpContents, server, await query<Target>(found().psql, targetQuery), options);
  }

  async function load(
    sql: AsyncIterable<Uint8Array>,
    _contents: Contents,
    made: LoadPlan,
    options: LoadOptions,
  ): Promise<void> {
    const { psql } = found();
    const rules = { ...(made as PostgresPlan).rules, noOwner: options.noOwner, knowsRestrict: knowsRestrict(psql) };
    const program = start([psql.path, ...psqlArguments], { env, signal });
    const output = lastText(program.stdout);
    try {
      // BEGIN and COMMIT are ours and not psql's --single-transaction: that one commits what has come so far when its
      // input ends early, as it does when this process is killed
      await program.stdin.write("BEGIN;\n");
      for await (const piece of splitStatements(sql)) {
        const bytes = loadable(piece, rules);
        if (bytes) await program.stdin.write(bytes);
      }
      await program.stdin.write(`\nCOMMIT;\n\\echo ${committedMark}\n`);
      await program.stdin.end();
    } catch (error) {
      program.stop();
      const [status, stderr] = [await program.exited, await program.stderr];
      signal.throwIfAborted();
      // psql ended before its input did: its own words say why
      if (isBrokenPipe(error)) throw loadFailure(status, stderr);
      throw error;
    }
    const [status, stderr, said] = [await program.exited, await program.stderr, await output];
    signal.throwIfAborted();
    if (status !== 0 || !said.includes(committedMark)) throw loadFailure(status, stderr);
  }

  const loadFailure = (status: number, stderr: string) =>
    clientFailure(`the restore into ${target.where} failed and changed nothing`, status, stderr);

  return {
    engine: "postgresql",
    name: target.database,
    where: target.where,
    atomicLoad: true,
    probe,
    dump,
    stockRestore: (file, compression, server) =>
      stockRestore(file, compression, target.database, server.major < 17 && (clients?.dump.major ?? 0) >= 17),
    examine,
    plan,
    load,
  };
}

interface Probe {
  version: string;
  number: number;
  encoding: string;
  bytes: number;
}

const probeQuery = `
  SELECT json_build_object(
    'version', current_setting('server_version'),
    'number', current_setting('server_version_num')::int,
    'encoding', current_setting('server_encoding'),
    'bytes', (SELECT coalesce(sum(pg_table_size(oid)), 0) FROM pg_class
              WHERE relkind IN ('r', 'm') AND (oid >= 16384 OR relname = 'pg_largeobject')))`;

function stockRestore(file: string, compression: string, database: string, tooNew: boolean): string {
  const unpack = { gzip: "gunzip -c", zstd: "zstd -dc", none: "cat" }[compression] ?? "cat";
  const word = (text: string) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
  // pg_dump 17 and later write a setting into the first lines that older servers do not know
  const older = tooNew ? " | sed '1,40{/^SET transaction_timeout = 0;$/d}'" : "";
  return `${unpack} ${word(file)}${older} | psql --no-psqlrc --single-transaction -v ON_ERROR_STOP=1 -d ${word(database)}`;
}

const endOf = (tail: Buffer, chunk: Uint8Array): Buffer =>
  chunk.length >= tailLength
    ? Buffer.from(chunk.subarray(chunk.length - tailLength))
    : Buffer.concat([tail, chunk]).subarray(-tailLength);

async function lastText(stream: ReadableStream<Uint8Array>): Promise<string> {
  let tail: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) tail = endOf(tail, chunk);
  return tail.toString();
}

const isBrokenPipe = (error: unknown): boolean => (error as { code?: string } | null)?.code === "EPIPE";
