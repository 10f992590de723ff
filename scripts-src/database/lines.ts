/** Lines of a stream, in bounded memory. */

const newline = 0x0a;

/** Rows are held in memory up to this length; of a longer one its beginning, its length and a hash stand for it. */
const blockBytes = 1 << 20;

/** Lines as they come in pieces that may end anywhere. */
export class Lines {
  /** The line of which more will come. */
  readonly #begun: Joined;
  readonly #take: (bytes: Buffer, from: number, to: number) => void;

  /** With `keepsLong`, every line is given to `take` in full, however long it is. */
  constructor(take: (bytes: Buffer, from: number, to: number) => void, keepsLong = false) {
    this.#take = take;
    this.#begun = new Joined(keepsLong);
  }

  add(bytes: Buffer): void {
    let from = 0;
    for (let to = bytes.indexOf(newline); to >= 0; to = bytes.indexOf(newline, from)) {
      this.#line(bytes, from, to);
      from = to + 1;
    }
    this.#begun.add(bytes, from, bytes.length);
  }

  /** The last line, when no newline has followed it. */
  end(): void {
    if (!this.#begun.isEmpty) this.#line(Buffer.alloc(0), 0, 0);
  }

  #line(bytes: Buffer, from: number, to: number): void {
    if (this.#begun.isEmpty && to - from < blockBytes) return this.#take(bytes, from, to);
    const line = this.#begun.end(bytes, from, to);
    this.#take(line, 0, line.length);
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
    // a copy: the memory of `bytes` may be large
    this.#parts = Buffer.concat([this.#parts, bytes.subarray(from, to)]);
    if (this.#keepsLong || this.#parts.length < blockBytes) return;
    this.#long ??= new LongRow();
    const rest = this.#long.absorb(this.#parts, 0, this.#parts.length);
    this.#parts = Buffer.from(this.#parts.subarray(rest));
  }

  /** With the last part: all of it. */
  end(bytes: Buffer, from: number, to: number): Buffer {
    this.add(bytes, from, to);
    const parts = this.#parts;
    const joined = this.#long ? this.#long.end(parts, 0, parts.length) : parts;
    this.#parts = Buffer.alloc(0);
    this.#long = undefined;
    return joined;
  }
}

/** A row that is not held in memory: hashed in blocks of one length, wherever the pieces end. */
class LongRow {
  #hash = 0n;
  #bytes = 0;
  #head = "";

  /** Takes as many blocks as there are; returns where the rest begins. */
  absorb(bytes: Buffer, from: number, to: number): number {
    let at = from;
    for (; to - at >= blockBytes; at += blockBytes) this.#block(bytes, at, at + blockBytes);
    return at;
  }

  #block(bytes: Buffer, from: number, to: number): void {
    if (this.#bytes === 0) this.#head = bytes.toString("latin1", from, from + 200);
    this.#hash = Bun.hash.xxHash3(bytes.subarray(from, to), this.#hash);
    this.#bytes += to - from;
  }

  end(bytes: Buffer, from: number, to: number): Buffer {
    this.#block(bytes, this.absorb(bytes, from, to), to);
    return Buffer.from(`${this.#head}... (${this.#bytes} bytes, hash ${this.#hash.toString(16)})`, "latin1");
  }
}
