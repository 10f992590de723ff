/** SQL on its way to a client program, which reads it when it has carried out what came before. */
import { codeOf } from "../base/errors.ts";

/** What still waits to be read is "little" up to so many bytes, and "much" from so many on. */
const [littleBytes, muchBytes] = [262_144, 4 << 20];

interface Fed {
  /** Resolves when the program has ended, after `fail` where it ended in a failure. */
  ended: () => Promise<unknown>;
  /** Nothing that was handed over and is not answered yet will be. */
  failed: (error: unknown) => void;
}

/** The standard input of a client program. `ready` and `check` throw what `fail` got. */
export class Feed {
  readonly #stdin: Bun.FileSink;
  readonly #program: Fed;
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #waitingBytes = 0;
  #written = Promise.resolve();
  #failure: { error: unknown } | undefined;

  constructor(stdin: Bun.FileSink, program: Fed) {
    this.#stdin = stdin;
    this.#program = program;
  }

  /** Hands SQL over. `flush`: the program is to read it now, without what comes next. */
  write(sql: readonly (string | Uint8Array)[], flush = false): void {
    for (const bytes of sql) this.#waitingBytes += bytes.length;
    this.#written = this.#written.then(() => this.#pass(sql, flush));
  }

  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  async ready(): Promise<void> {
    this.check();
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

  /** Resolves when the program has read all of it, or has ended. */
  async drained(): Promise<void> {
    await this.#written;
  }

  /** No more SQL comes. */
  async end(): Promise<void> {
    await this.#written;
    // a program that has ended makes it throw, at once or later: how it ended, its status tells
    await (async () => this.#stdin.end())().catch(() => {});
  }

  // no Promise.race with one promise of the failure: it would keep something of every call until the end
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#program.failed(error);
  }

  check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  async #pass(sql: readonly (string | Uint8Array)[], flush: boolean): Promise<void> {
    try {
      for (const bytes of sql) {
        if (this.#failure) return;
        await this.#stdin.write(bytes);
        this.#waitingBytes -= bytes.length;
      }
      if (flush) await this.#stdin.flush();
      if (this.isReady) for (const { resolve } of this.#waiting.splice(0)) resolve();
    } catch (error) {
      // a broken pipe: the program ended before its input did, and its own words say why
      if (codeOf(error) === "EPIPE") await this.#program.ended();
      this.fail(error);
    }
  }
}
