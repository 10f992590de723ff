/** A session of the client program that carries out SQL in order while the caller goes on. */
import { Feed } from "../feed.ts";
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

interface Request {
  mark: string;
  /** Rows between the two marks; undefined before the first: what was still to come belongs to nobody. */
  rows: string[][] | undefined;
  answer: PromiseWithResolvers<string[][]>;
}

/** All but `stop` throw the `Failure` of an error that has ended the client. Between two calls the delimiter is `;`. */
export class Session implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #client: Client;
  readonly #what: string;
  readonly #program: ReturnType<typeof startClient>;
  /** Unlike anything that a dump may select. */
  readonly #token = crypto.randomUUID();
  readonly #feed: Feed;
  readonly #requests: Request[] = [];
  readonly #ended: Promise<void>;
  #count = 0;
  #ending = false;

  /** `what` begins the message of a failure: "the restore into … failed". */
  constructor(connection: Connection, client: Client, what: string) {
    this.#connection = connection;
    this.#client = client;
    this.#what = what;
    this.#program = startClient(connection, client, [...options, `--database=${connection.target.database}`]);
    this.#feed = new Feed(this.#program.stdin, {
      ended: () => this.#ended,
      failed: (error) => {
        for (const { answer } of this.#requests.splice(0)) answer.reject(error);
      },
    });
    this.#ended = this.#follow();
    // the first answer shows that the option file with the login is no longer needed
    void this.settled().catch(() => {}); // the next call throws it
  }

  /** Hands SQL over. */
  write(...sql: (string | Uint8Array)[]): void {
    this.#feed.write(sql);
  }

  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  room(): Promise<void> {
    return this.#feed.room();
  }

  get hasRoom(): boolean {
    return this.#feed.hasRoom;
  }

  get holdsMuch(): boolean {
    return this.#feed.holdsMuch;
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
    this.#feed.check();
    const mark = `${this.#token} ${++this.#count}`;
    const request: Request = { mark, rows: undefined, answer: Promise.withResolvers() };
    this.#requests.push(request);
    this.#feed.write([`\nSELECT 'begin ${mark}';\n${sql};\nSELECT '${mark}';\n`], true);
    return request.answer.promise;
  }

  /** Ends the session in good order. */
  async end(): Promise<void> {
    await this.#feed.drained();
    this.#ending = true;
    await this.#feed.end();
    await this.#ended;
    this.#feed.check();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Ends the client at once; the server may still carry out the present statement. */
  async stop(): Promise<void> {
    this.#program.stop();
    await this.#program.exited;
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
    this.#feed.fail(signal.aborted ? signal.reason : clientFailure(this.#what, this.#client, status, stderr));
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
