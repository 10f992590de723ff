/** Lines of a stream, in bounded memory. */

const newline = 0x0a;

/** Rows are held in memory up to this length; of a longer one its beginning, its length and a hash stand for it. */
const longRow = 1 << 20;

type Take = (bytes: Buffer, from: number, to: number) => void;

/** Lines as they come in pieces that may end anywhere. */
export class Lines {
  /** The line of which more will come. */
  readonly #begun: Joined;
  readonly #take: Take;

  /** With `keepsLong`, every line is given to `take` in full, however long it is. */
  constructor(take: Take, keepsLong = false) {
    this.#take = take;
    this.#begun = new Joined(keepsLong);
  }

  add(bytes: Buffer): void {
    let from = 0;
    for (let to = bytes.indexOf(newline); to >= 0; to = bytes.indexOf(newline, from)) {
      this.#begun.finish(bytes, from, to, this.#take);
      from = to + 1;
    }
    this.#begun.add(bytes, from, bytes.length);
  }

  /** The last line, when no newline has followed it. */
  end(): void {
    if (!this.#begun.isEmpty) this.#begun.finish(Buffer.alloc(0), 0, 0, this.#take);
  }
}

/** Something that comes in parts, put together again: in full, or, when it is long and unless `keepsLong`, as `LongRow` shows it. */
export class Joined {
  #parts: Buffer = Buffer.alloc(0);
  #long: LongRow | undefined;
  readonly #keepsLong: boolean;

  constructor(keepsLong = false) {
    this.#keepsLong = keepsLong;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0 && !this.#long;
  }

  /** Takes the part `bytes[from, to)`, of which more will come. */
  add(bytes: Buffer, from: number, to: number): void {
    if (from === to) return;
    if (this.#long) return this.#long.add(bytes.subarray(from, to));
    // a copy: the memory of `bytes` may be large
    this.#parts = Buffer.concat([this.#parts, bytes.subarray(from, to)]);
    if (this.#keepsLong || this.#parts.length < longRow) return;
    this.#long = new LongRow(this.#parts);
    this.#parts = Buffer.alloc(0);
  }

  /** With the last part, `bytes[from, to)`, all of it goes to `take`. */
  finish(bytes: Buffer, from: number, to: number, take: Take): void {
    if (this.isEmpty && to - from < longRow) return take(bytes, from, to);
    this.add(bytes, from, to);
    const joined = this.#long?.end() ?? this.#parts;
    this.#parts = Buffer.alloc(0);
    this.#long = undefined;
    take(joined, 0, joined.length);
  }
}

/** A row that is not held in memory. */
class LongRow {
  readonly #head: string;
  readonly #hash = new Bun.CryptoHasher("sha256");
  #bytes = 0;

  constructor(beginning: Buffer) {
    this.#head = beginning.toString("latin1", 0, 200);
    this.add(beginning);
  }

  add(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
  }

  end(): Buffer {
    return Buffer.from(`${this.#head}... (${this.#bytes} bytes, SHA-256 ${this.#hash.digest("hex")})`, "latin1");
  }
}
