/** A session of a client program that carries out SQL in order while the caller goes on. */
import type { Failure } from "../base/errors.ts";
import type { Program } from "../base/process.ts";
import { Feed } from "./feed.ts";

interface Request {
  mark: string;
  /** The answer has begun: what comes before belongs to nobody. */
  begun: boolean;
  answer: PromiseWithResolvers<string[]>;
}

/** A line that belongs to no answer is cut when it is longer (characters). */
const longestStranger = 4096;

/** All but `stop` throw the `Failure` of an error that has ended the program. */
export abstract class ClientSession implements AsyncDisposable {
  readonly #program: Program;
  readonly #signal: AbortSignal;
  /** Unlike anything that a dump can select. */
  readonly #token = crypto.randomUUID();
  readonly #feed: Feed;
  readonly #requests: Request[] = [];
  /** Lines of the next answer. */
  #lines: string[] = [];
  /** Resolves to what the program wrote to its stderr. */
  readonly #ended: Promise<string>;
  #count = 0;
  #ending = false;
  /** The program has ended. */
  #over = false;

  constructor(program: Program, signal: AbortSignal) {
    this.#program = program;
    this.#signal = signal;
    this.#feed = new Feed(program.stdin, {
      ended: () => this.#ended,
      failed: (error) => {
        for (const { answer } of this.#requests.splice(0)) answer.reject(error);
      },
    });
    this.#ended = this.#follow();
  }

  /** Why the program has ended too early. */
  protected abstract failure(status: number, stderr: string): Failure | Promise<Failure>;

  /** Whether a line that no question has asked for is a part of the next answer. */
  protected keeps(_line: string): boolean {
    return false;
  }

  /** Hands SQL over. */
  write(...sql: (string | Uint8Array)[]): void {
    this.#feed.write(sql);
  }

  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  ready(): Promise<void> {
    return this.#feed.ready();
  }

  get isReady(): boolean {
    return this.#feed.isReady;
  }

  get holdsMuch(): boolean {
    return this.#feed.holdsMuch;
  }

  /** Resolves when the program has read all that was handed over. */
  drained(): Promise<void> {
    return this.#feed.drained();
  }

  /**
   * Resolves when all that was handed over has been carried out, to the lines that `sql` then selects (without its last semicolon), a
   * letter for each byte.
   */
  protected async answerTo(sql?: string): Promise<string[]> {
    this.#feed.check();
    const mark = `${this.#token} ${++this.#count}`;
    const request: Request = { mark, begun: false, answer: Promise.withResolvers() };
    this.#requests.push(request);
    const question = sql === undefined ? "" : `SELECT 'begin ${mark}';\n${sql};\n`;
    this.#feed.write([`\n${question}SELECT '${mark}';\n`], true);
    return request.answer.promise;
  }

  /** Ends the session in good order and resolves to what the program wrote to its stderr. */
  async end(): Promise<string> {
    await this.#feed.drained();
    this.#ending = true;
    await this.#feed.end();
    const stderr = await this.#ended;
    this.#feed.check();
    return stderr;
  }

  /** Ends the program at once, where it has not ended; the server may still carry out the present statement. */
  async stop(): Promise<void> {
    if (!this.#over) this.#program.stop();
    await this.#program.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #follow(): Promise<string> {
    let rest = "";
    for await (const chunk of this.#program.stdout) {
      const lines = (rest + Buffer.from(chunk).toString("latin1")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
      // only now: these lines may have begun the answer to which it belongs
      if (!this.#requests[0]?.begun) rest = rest.slice(0, longestStranger);
    }
    const [status, stderr] = [await this.#program.exited, await this.#program.stderr];
    this.#over = true;
    if (status === 0 && this.#ending && this.#requests.length === 0) return stderr;
    this.#feed.fail(this.#signal.aborted ? this.#signal.reason : await this.failure(status, stderr));
    return stderr;
  }

  #take(line: string): void {
    const [request] = this.#requests;
    if (request && line === request.mark) {
      this.#requests.shift();
      request.answer.resolve(this.#lines);
      this.#lines = [];
    } else if (request && line === `begin ${request.mark}`) request.begun = true;
    else if (request?.begun || this.keeps(line)) this.#lines.push(line);
  }
}
