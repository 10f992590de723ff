/** A session of a client program that carries out SQL in order while the caller goes on. */
import { codeOf, type Failure } from "../base/errors.ts";
import type { Program } from "../base/process.ts";

interface Request {
  /** The line before the answer is 1 and the mark, the line after it 2 and the mark. */
  mark: string;
  /** The answer has begun: what comes before belongs to nobody. */
  begun: boolean;
  answer: PromiseWithResolvers<string[]>;
}

/** What still waits to be read is "little" up to so many bytes, and "much" from so many on. */
const [littleBytes, muchBytes] = [262_144, 4 << 20];

/** A line that belongs to no answer is cut when it is longer (characters). */
const longestStranger = 4096;

/** All but `stop` throw the `Failure` of an error that has ended the program. */
export abstract class ClientSession implements AsyncDisposable {
  readonly #program: Program;
  readonly #signal: AbortSignal;
  /** Random digits, which no dump selects by chance. They have no quotes, which would end a quotation that was left open before. */
  readonly #token = crypto.getRandomValues(new BigUint64Array(2)).join("");
  readonly #requests: Request[] = [];
  /** Lines of the next answer. */
  #lines: string[] = [];
  /** Those who wait until little of what was handed over still waits to be read. */
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #waitingBytes = 0;
  /** Resolves when the program has read all that was handed over, or has ended. */
  #written = Promise.resolve();
  #failure: { error: unknown } | undefined;
  /** Resolves to what the program wrote to its stderr, after `#fail` where it ended in a failure. */
  readonly #ended: Promise<string>;
  #count = 0;
  #ending = false;
  /** The program has ended. */
  #over = false;

  constructor(program: Program, signal: AbortSignal) {
    this.#program = program;
    this.#signal = signal;
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
    this.#write(sql, false);
  }

  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  async ready(): Promise<void> {
    this.#check();
    if (this.isReady) return;
    const ready = Promise.withResolvers<void>();
    this.#waiting.push(ready);
    await ready.promise;
  }

  get isReady(): boolean {
    return this.#waitingBytes < littleBytes;
  }

  get holdsMuch(): boolean {
    return this.#waitingBytes > muchBytes;
  }

  /** Resolves when the program has read all that was handed over, or has ended. */
  drained(): Promise<void> {
    return this.#written;
  }

  /**
   * Resolves when all that was handed over has been carried out, to the lines that `sql` then selects (without its last semicolon), a
   * letter for each byte.
   */
  protected async answerTo(sql?: string): Promise<string[]> {
    this.#check();
    const mark = `${this.#token}${++this.#count}`;
    const request: Request = { mark, begun: false, answer: Promise.withResolvers() };
    this.#requests.push(request);
    const question = sql === undefined ? "" : `SELECT 1${mark};\n${sql};\n`;
    this.#write([`\n${question}SELECT 2${mark};\n`], true);
    return request.answer.promise;
  }

  /** Ends the session in good order and resolves to what the program wrote to its stderr. */
  async end(): Promise<string> {
    await this.#written;
    this.#ending = true;
    // a program that has ended makes it throw, at once or later: how it ended, its status tells
    await (async () => this.#program.stdin.end())().catch(() => {});
    const stderr = await this.#ended;
    this.#check();
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

  /** `flush`: the program is to read it now, without what comes next. */
  #write(sql: readonly (string | Uint8Array)[], flush: boolean): void {
    for (const bytes of sql) this.#waitingBytes += bytes.length;
    this.#written = this.#written.then(() => this.#pass(sql, flush));
  }

  async #pass(sql: readonly (string | Uint8Array)[], flush: boolean): Promise<void> {
    const { stdin } = this.#program;
    try {
      for (const bytes of sql) {
        if (this.#failure) return;
        await stdin.write(bytes);
        this.#waitingBytes -= bytes.length;
      }
      if (flush) await stdin.flush();
      if (this.isReady) for (const { resolve } of this.#waiting.splice(0)) resolve();
    } catch (error) {
      // a broken pipe: the program ended before its input did, and its own words say why
      if (codeOf(error) === "EPIPE") await this.#ended;
      this.#fail(error);
    }
  }

  // no Promise.race with one promise of the failure: it would keep something of every call until the end
  #fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const { answer } of this.#requests.splice(0)) answer.reject(error);
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
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
    this.#fail(this.#signal.aborted ? this.#signal.reason : await this.failure(status, stderr));
    return stderr;
  }

  #take(line: string): void {
    const [request] = this.#requests;
    if (request && line === `2${request.mark}`) {
      this.#requests.shift();
      request.answer.resolve(this.#lines);
      this.#lines = [];
    } else if (request && line === `1${request.mark}`) request.begun = true;
    else if (request?.begun || this.keeps(line)) this.#lines.push(line);
  }
}
