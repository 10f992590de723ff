/** A session of the client program that carries out SQL in order while the caller goes on. */
import { codeOf } from "../../base/errors.ts";
import type { Client } from "./clients.ts";
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

/** More than this (bytes handed over, not yet read by the client) is not "little". */
const roomBytes = 262_144;

interface Request {
  mark: string;
  /** Rows between the two marks; undefined before the first: what was still to come belongs to nobody. */
  rows: string[][] | undefined;
  answer: PromiseWithResolvers<string[][]>;
}

/** All but `stop` throw the `Failure` of an error that has ended the client. Between two calls the delimiter is `;`. */
export class Session {
  readonly #connection: Connection;
  readonly #client: Client;
  readonly #what: string;
  readonly #program: ReturnType<typeof startClient>;
  /** Unlike anything that a dump may select. */
  readonly #token = crypto.randomUUID();
  readonly #requests: Request[] = [];
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  readonly #ended: Promise<void>;
  #count = 0;
  #waitingBytes = 0;
  #written = Promise.resolve();
  #ending = false;
  #failure: { error: unknown } | undefined;

  /** `what` begins the message of a failure: "the restore into … failed". */
  constructor(connection: Connection, client: Client, what: string) {
    this.#connection = connection;
    this.#client = client;
    this.#what = what;
    this.#program = startClient(connection, client, [...options, `--database=${connection.target.database}`]);
    this.#ended = this.#follow();
    // the first answer shows that the option file with the login is no longer needed
    void this.settled().catch(() => {}); // the next call throws it
  }

  /** Hands SQL over. */
  write(...sql: (string | Uint8Array)[]): void {
    for (const bytes of sql) this.#waitingBytes += bytes.length;
    this.#written = this.#written.then(() => this.#pass(sql));
  }

  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  async room(): Promise<void> {
    this.#check();
    if (this.hasRoom) return;
    const room = Promise.withResolvers<void>();
    this.#waiting.push(room);
    await room.promise;
  }

  get hasRoom(): boolean {
    return this.#waitingBytes < roomBytes;
  }

  /** Resolves when all that was handed over has been carried out. */
  async settled(): Promise<void> {
    await this.ask("DO 0");
  }

  /** The rows that `sql` (without its last semicolon; several statements, if you like) selects; NULL comes as the word. */
  async ask(sql: string): Promise<string[][]> {
    const rows = await this.askBytes(sql);
    return rows.map((row) => row.map((field) => Buffer.from(field, "latin1").toString()));
  }

  /** The same with a letter for each byte. */
  async askBytes(sql: string): Promise<string[][]> {
    this.#check();
    const mark = `${this.#token} ${++this.#count}`;
    const request: Request = { mark, rows: undefined, answer: Promise.withResolvers() };
    this.#requests.push(request);
    this.write(`\nSELECT 'begin ${mark}';\n${sql};\nSELECT '${mark}';\n`);
    this.#written = this.#written.then(() => this.#flush());
    return request.answer.promise;
  }

  /** Ends the session in good order. */
  async end(): Promise<void> {
    await this.#written;
    this.#ending = true;
    await this.#reach(() => this.#program.stdin.end());
    await this.#ended;
    this.#check();
  }

  /** Ends the client at once; the server may still carry out the present statement. */
  async stop(): Promise<void> {
    this.#program.stop();
    await this.#program.exited;
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  // no Promise.race with one promise of the failure: it would keep something of every call until the end
  #fail(error: unknown): void {
    this.#failure ??= { error };
    const requests = this.#requests.splice(0).map(({ answer }) => answer);
    for (const { reject } of [...this.#waiting.splice(0), ...requests]) reject(error);
  }

  async #pass(sql: readonly (string | Uint8Array)[]): Promise<void> {
    try {
      for (const bytes of sql) {
        if (this.#failure) return;
        await this.#program.stdin.write(bytes);
        this.#waitingBytes -= bytes.length;
      }
      if (this.hasRoom) for (const { resolve } of this.#waiting.splice(0)) resolve();
    } catch (error) {
      // a broken pipe: the client ended before its input did, and its own words say why
      if (codeOf(error) === "EPIPE") await this.#ended;
      this.#fail(error);
    }
  }

  async #flush(): Promise<void> {
    if (!this.#failure) await this.#reach(() => this.#program.stdin.flush());
  }

  /** A client that has ended makes it throw, at once or later; how it ended, its status says. */
  async #reach(act: () => unknown): Promise<void> {
    try {
      await act();
    } catch {} // see #follow
  }

  async #follow(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#program.stdout) {
      this.#program.loggedIn();
      const lines = (rest + Buffer.from(chunk).toString("latin1")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    }
    const [status, stderr] = [await this.#program.exited, await this.#program.stderr];
    if (status === 0 && this.#ending && this.#requests.length === 0) return;
    const { signal } = this.#connection;
    this.#fail(signal.aborted ? signal.reason : clientFailure(this.#what, this.#client, status, stderr));
  }

  #take(line: string): void {
    const [request] = this.#requests;
    if (request && line === request.mark) {
      this.#requests.shift();
      request.answer.resolve(request.rows ?? []);
    } else if (request && line === `begin ${request.mark}`) request.rows = [];
    else request?.rows?.push(line.split("\t").map(unescapeField));
  }
}
