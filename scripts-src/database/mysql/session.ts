/** A session of the command-line client of MySQL or MariaDB. */
import type { Failure } from "../../base/errors.ts";
import { ClientSession } from "../session.ts";
import { type Connection, startClient, unescapeField } from "./connection.ts";
import { clientFailure } from "./explain.ts";

const options = [
  "--batch",
  "--unbuffered",
  // comments in the bodies of programs stay
  "--comments",
  "--skip-column-names",
  // a new connection would have neither our settings nor our locks
  "--skip-reconnect",
  "--default-character-set=utf8mb4",
  "--max-allowed-packet=1G",
];

/** Between two calls the delimiter is `;`. */
export class Session extends ClientSession {
  readonly #connection: Connection;
  readonly #what: string;

  /** `what` begins the message of a failure: "the restore into … failed". */
  constructor(connection: Connection, what: string) {
    const program = startClient(connection, connection.client, [
      ...options,
      `--database=${connection.target.database}`,
    ]);
    super(program, connection.signal);
    this.#connection = connection;
    this.#what = what;
    // the first answer shows that the option file with the login is no longer needed; a failure is thrown by the next call
    void this.settled().then(program.loggedIn, () => {});
  }

  /** Resolves when all that was handed over has been carried out. */
  async settled(): Promise<void> {
    await this.answerTo();
  }

  /** The rows that `sql` (without its last semicolon; several statements, if you like) selects; NULL comes as the word. */
  async ask(sql: string): Promise<string[][]> {
    const rows = await this.askBytes(sql);
    return rows.map((row) => row.map((field) => Buffer.from(field, "latin1").toString()));
  }

  /** The same with a letter for each byte. */
  async askBytes(sql: string): Promise<string[][]> {
    return (await this.answerTo(sql)).map((line) => line.split("\t").map(unescapeField));
  }

  protected override failure(status: number, stderr: string): Failure {
    return clientFailure(this.#what, this.#connection.client, status, stderr);
  }
}
