/** The exception: removes everything from the present database and loads a dump into it, in one transaction. */
import { Failure } from "../../base/errors.ts";
import { lockPatience } from "../run-program.ts";
import { type Loaded, compareRows } from "../restoring.ts";
import { LoadFilter, type LoadRules } from "./filter.ts";
import { isMissing, ownPath } from "./lane.ts";
import {
  asDumped,
  expectedRows,
  isChecked,
  type Loading,
  ourEncoding,
  piecesToLoad,
  refreshedView,
  rowsAgain,
  viewWithoutRows,
} from "./load.ts";
import { counting, literal } from "./names.ts";
import { copyTable } from "./contents.ts";
import { Session, query, withoutTimeouts } from "./session.ts";
import { watchSessions } from "./dump.ts";
import type { Piece } from "./statements.ts";
import type { Connection } from "./connection.ts";

const searchPath = /^SELECT pg_catalog\.set_config\('search_path', '', false\);$/;
const bringsSchema = /^CREATE (?:SCHEMA|EXTENSION) /;
/** How the server reports such a view to us. */
const notPopulated = "backup_scripts: no rows in";

type Outcome = "aborted" | "committed" | "in progress" | "unknown";

/** Gives the present transaction its number. */
export const transactionNumber = "pg_catalog.txid_current()";

/** What a restore that failed has done, as the server knows it. */
const words: Record<Outcome, string> = {
  aborted: "failed and changed nothing",
  "in progress": "failed; the server is still undoing it",
  committed: "broke off after the changes were made",
  unknown: "broke off, and the server cannot be asked what became of it: look at the database",
};

/** How everything is loaded. */
interface Attempt {
  /** Takes the place of the dump's empty search_path. */
  path: string;
  /** Tables whose rows come behind those of the others, in this order. */
  late: readonly string[];
}

/** Each takes as long as the first. */
const mostTries = 8;

/**
 * Loads the dump in one transaction. A transaction that failed is rolled back, and the load is tried again: with the database's own
 * search_path when a name was not found; with the rows of a table at the end when its check refused one. Throws a `Failure` that says
 * what became of the transaction.
 */
export async function loadInPlace(sql: AsyncIterable<Uint8Array>, how: Loading): Promise<Loaded> {
  const { signal, log } = how.connection;
  let attempt: Attempt = { path: "", late: [] };
  let hidden: unknown;
  const orders = new Set([""]);
  for (let tries = 1; ; tries++)
    try {
      return await loadOnce(sql, how, attempt);
    } catch (error) {
      signal.throwIfAborted();
      const undone = error instanceof Failure && error.message.includes(words.aborted);
      const late = undone ? lateAfter(error, attempt.late, how) : attempt.late;
      if (undone && isMissing(error) && attempt.path === "") {
        log.info("a name was not found with the dump's search_path; trying again with the database's own");
        attempt = { ...attempt, path: ownPath };
        hidden = error;
      } else if (!orders.has(late.join()) && tries < mostTries) {
        log.info(`a check refused a row; trying again with the rows of ${late.join(", ")} behind those of the others`);
        orders.add(late.join());
        attempt = { ...attempt, late };
      } else throw isMissing(error) ? (hidden ?? error) : error;
    }
}

/**
 * The late tables after a check has refused a row of one, which the server names without its schema. It comes before the others, which
 * may wait for it; behind them where that was not enough.
 */
function lateAfter(error: Failure, late: readonly string[], { contents }: Loading): readonly string[] {
  const [, refused] = isChecked(error) ? (/^(?:CONTEXT: {2})?COPY (.*), line \d+/m.exec(error.message) ?? []) : [];
  if (refused === undefined) return late;
  const tables = [...contents.rows.keys()].filter((table) => table === refused || table.endsWith(`.${refused}`));
  const others = late.filter((table) => !tables.includes(table));
  return others.length < late.length ? [...others, ...tables] : [...tables, ...late];
}

async function loadOnce(sql: AsyncIterable<Uint8Array>, how: Loading, attempt: Attempt): Promise<Loaded> {
  const { connection, rules, prelude } = how;
  let ours = "";
  let outcome: Outcome | undefined;
  let committing = false;
  const what = async () => {
    outcome = await outcomeOf(connection, ours);
    return `the restore into ${connection.where} ${words[outcome]}`;
  };
  const session = new Session(connection, what, { counts: true });
  using watch = watchSessions(connection, "psql");
  const filter = new LoadFilter(rules);
  let rows: Loaded["rows"] = new Map();
  const report = (stderr: string): Loaded => ({
    rows,
    warnings: [...filter.warnings, ...viewsWithoutRows(stderr)],
    skipped: [],
    leftOut: filter.leftOut,
  });
  try {
    // BEGIN and COMMIT are ours and not psql's --single-transaction: that one commits what has come so far when its
    // input ends early, as it does when this process is killed
    session.write(
      `BEGIN;\n${withoutTimeouts("transaction")}SET LOCAL lock_timeout = ${lockPatience};\n${asDumped.join("\n")}\n`,
    );
    ours = await session.settled(transactionNumber);
    session.write(`${prelude.join("\n")}\n`);
    const expected = expectedRows(how);
    const tables = await feed(session, sql, { filter, rules, attempt, expected, moved: watch.moved });
    rows = countRows(tables, await session.copied());
    // only now, when all of it is done: a COMMIT that waits in the pipe would be obeyed even after we have been killed
    if ((await session.settled(transactionNumber)) !== ours) throw endedByDump(connection);
    compareRows(expected, rows);
    committing = true;
    session.write("COMMIT;\n");
    await session.settled();
    return report(await session.end());
  } catch (error) {
    await session.stop();
    // a run that is stopped may be stopped behind the COMMIT
    if (committing) outcome ??= await outcomeOf(connection, ours);
    if (!committing || outcome !== "committed") throw error;
    connection.log.warn("the session ended while the restore was committed; the server says that all of it was");
    return report("");
  }
}

const endedByDump = ({ where }: Connection) =>
  new Failure(
    `the restore into ${where} failed: the dump has ended its transaction; what came before may have been kept`,
    {
      hints: ["look at the database and at the file: this is not what pg_dump writes"],
    },
  );

interface Feeding {
  filter: LoadFilter;
  rules: LoadRules;
  attempt: Attempt;
  /** Rows of each table. */
  expected: ReadonlyMap<string, number>;
  /** Called when something was read. */
  moved: () => void;
}

/** The tables whose rows were copied, in order. */
async function feed(
  session: Session,
  sql: AsyncIterable<Uint8Array>,
  { filter, rules, attempt, expected, moved }: Feeding,
): Promise<string[]> {
  const { path, late } = attempt;
  const tables: string[] = [];
  /** Tables whose rows have yet to come. */
  const waiting = new Set(expected.keys());
  let table: string | undefined;
  const pass = async (piece: Piece) => {
    const text = piece.kind === "statement" ? piece.text : "";
    const copied = copyTable(text);
    if (copied !== undefined) tables.push(copied);
    const view = refreshedView(text);
    const resets = path !== "" && searchPath.test(text);
    if (!resets) session.write(view === undefined ? piece.bytes : refreshing(piece.bytes));
    // a schema is on the path from the time when it exists
    if (resets || (path && bringsSchema.test(text))) session.write("\n", path.replaceAll("SET LOCAL", "SET"), "\n");
    await session.ready();
    moved();
  };
  for await (const piece of piecesToLoad(sql, filter)) {
    if (piece.kind === "statement") table = copyTable(piece.text);
    if (table === undefined || !late.includes(table)) await pass(piece);
    const ends = piece.kind === "data" && piece.rows === "end" && waiting.delete(table ?? "");
    if (ends && waiting.size === 0)
      for (const one of late) for await (const again of rowsAgain(sql, rules, new Set([one]))) await pass(again);
  }
  session.write("\n", ourEncoding, "\n");
  // the rows of INSERTs
  const uncounted = [...expected.keys()].filter((table) => !tables.includes(table));
  for (const table of uncounted) session.write(counting(table), "\n");
  session.write("\n", filter.atTheEnd.join("\n"), "\n");
  return [...tables, ...uncounted];
}

/** A REFRESH that fails leaves its view without rows: with the dump's search_path, then with the database's own. */
function refreshing(statement: Uint8Array): Buffer {
  // in the dump's encoding, whichever it is
  const all = Buffer.from(statement).toString("latin1");
  const text = all.slice(all.search(/^REFRESH /m));
  const view = refreshedView(text) ?? "";
  const sql = `
DO ${literal(`BEGIN EXECUTE ${literal(text)};
  EXCEPTION WHEN OTHERS THEN BEGIN ${ownPath.replace("SELECT pg_catalog.set_config", "PERFORM pg_catalog.set_config")} EXECUTE ${literal(text)};
    EXCEPTION WHEN OTHERS THEN RAISE WARNING ${literal(`${notPopulated} ${view.replaceAll("%", "%%")}: %`)}, SQLERRM; END; END`)};
`;
  return Buffer.from(sql, "latin1");
}

const viewsWithoutRows = (stderr: string): string[] =>
  [...stderr.matchAll(new RegExp(`${notPopulated} (.*?): (.*)`, "g"))].map(([, view, why]) =>
    viewWithoutRows(view, why),
  );

function countRows(tables: readonly string[], answers: readonly number[]): Map<string, number> {
  const rows = new Map<string, number>();
  for (const [index, table] of tables.entries())
    rows.set(table, (rows.get(table) ?? 0) + (answers[index] ?? Number.NaN));
  return rows;
}

/**
 * What became of a transaction whose connection is gone. Asks the server over a new connection. A server may go on with a statement whose client is gone: that is waited for, a few
 * seconds. Without a number nothing had begun.
 */
async function outcomeOf(connection: Connection, number: string): Promise<Outcome> {
  if (number === "") return "aborted";
  // a run that is stopped wants to know it too
  const way = { ...connection, signal: AbortSignal.timeout(15_000) };
  const ask = () => query<Outcome | null>(way, `SELECT to_json(txid_status(${number}))`);
  let answer: Outcome | null | undefined;
  for (let n = 0; n < 10; n++) {
    answer = await ask().catch(() => undefined);
    if (answer === "aborted" || answer === "committed") return answer;
    await Bun.sleep(500);
  }
  return answer ?? "unknown";
}
