/** How MySQL's and MariaDB's client programs reach the database, and short questions to it. */
import { Failure } from "../../base/errors.ts";
import { start, type Program } from "../../base/process.ts";
import type { Settings } from "../../settings/settings.ts";
import type { DatabaseContext } from "../database.ts";
import { answerOf } from "../run-program.ts";
import type { Client } from "./clients.ts";
import { clientFailure } from "./explain.ts";
import { writeOptionFile } from "./option-file.ts";
import { type Target, targetFromSettings } from "./login.ts";

/** What the settings say. */
export interface Login extends DatabaseContext {
  target: Target;
  /** DB_CLIENT_DIR. */
  folder: string | undefined;
}

/** A way to a database of the server. */
export interface Connection extends Login {
  /** The program for everything but dumps. */
  client: Client;
}

/** Connects to nothing yet. Throws `Failure` when the settings do not name a database. */
export const connectionFrom = (settings: Settings, { log, signal }: DatabaseContext): Login => ({
  log,
  signal,
  target: targetFromSettings(settings),
  folder: settings.DB_CLIENT_DIR,
});

/** A database that every server has and every user may use. */
export const everywhere = "information_schema";

/** The same login, in another database. */
export const inDatabase = (connection: Connection, database: string): Connection => ({
  ...connection,
  target: { ...connection.target, database, where: connection.target.where.replace(/[^/?]*(?=$|\?)/, () => database) },
});

/** A client program with its login in an option file, which is gone when it has logged in or ended. */
interface LoggedIn extends Program {
  /** Its first output has come: it needs the option file no more. */
  loggedIn: () => void;
}

export function startClient(
  { target, signal }: Connection,
  client: Client,
  words: readonly string[],
  session: { setsAside?: boolean } = {},
): LoggedIn {
  const file = writeOptionFile(target, client, session);
  const loggedIn = () => file[Symbol.dispose]();
  try {
    const program = start([client.path, file.argument, ...words], { env: file.env, signal });
    return { ...program, loggedIn, exited: program.exited.finally(loggedIn) };
  } catch (error) {
    loggedIn();
    throw error;
  }
}

/** The last row of an answer: without it, what came may be half of one. */
const end = "end of the answer";

/** The rows that `sql` (several statements, if you like) selects; NULL comes as the word. Throws `Failure`. */
export async function query(connection: Connection, sql: string): Promise<string[][]> {
  const { target, client, signal } = connection;
  const words = ["--batch", "--skip-column-names", "--default-character-set=utf8mb4", `--database=${target.database}`];
  const program = startClient(connection, client, [...words, `--execute=${sql};\nSELECT '${end}'`]);
  const failure = (status: number, stderr: string) =>
    clientFailure(`cannot query ${target.where}`, client, status, stderr);
  const lines = (await answerOf(program, "", { signal, failure })).split("\n").slice(0, -1);
  if (lines.pop() !== end)
    throw new Failure(
      `cannot query ${target.where}: ${client.name} exited with status 0, but its answer is incomplete`,
      {
        hints: [`look at ${client.path}: is it really MySQL's or MariaDB's client?`],
      },
    );
  return lines.map((line) => line.split("\t").map(unescapeField));
}

const escaped: Record<string, string> = { t: "\t", n: "\n", "0": "\0" };

/** --batch writes tab, newline, NUL and backslash in fields as `\t`, `\n`, `\0` and `\\`. */
export const unescapeField = (field: string): string =>
  field.replaceAll(/\\(.)/g, (_, letter: string) => escaped[letter] ?? letter);
