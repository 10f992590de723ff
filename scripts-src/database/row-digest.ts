/**
 * Digests of a table's rows that do not depend on their order: the sum of every row's hash. (A sum and not an exclusive or, which
 * would lose every pair of equal rows.) Made to find what went wrong, not to withstand an adversary: that is the signature's task.
 */

/** A row's hash as two numbers of 32 bits; the last one that was computed. */
let low = 0;
let high = 0;

function hashRow(bytes: Uint8Array, from: number, to: number): void {
  const hash = Bun.hash.xxHash3(bytes.subarray(from, to));
  low = Number(hash & 0xffff_ffffn);
  high = Number(hash >> 32n);
}

/** How many buckets `RowBuckets` has: enough to find some ten thousand differing rows. */
const bucketCount = 65_536;

/** Something that takes rows. */
export interface RowSink {
  add(bytes: Uint8Array, from: number, to: number): void;
}

/** Count and digest of the rows of one table. */
export class RowDigest implements RowSink {
  rows = 0;
  #low = 0;
  #high = 0;

  /** Takes the row `bytes[from, to)`. */
  add(bytes: Uint8Array, from: number, to: number): void {
    hashRow(bytes, from, to);
    this.rows++;
    this.#low = (this.#low + low) >>> 0;
    this.#high = (this.#high + high) >>> 0;
  }

  equals(other: RowDigest): boolean {
    return this.rows === other.rows && this.#low === other.#low && this.#high === other.#high;
  }
}

/** The rows of one table, thrown into buckets by their hash: subtracting two of them leaves the rows that only one has. */
export class RowBuckets implements RowSink {
  readonly #counts = new Int32Array(bucketCount);
  readonly #lows = new Uint32Array(bucketCount);
  readonly #highs = new Uint32Array(bucketCount);

  add(bytes: Uint8Array, from: number, to: number): void {
    this.#change(bytes, from, to, 1);
  }

  remove(bytes: Uint8Array, from: number, to: number): void {
    this.#change(bytes, from, to, -1);
  }

  #change(bytes: Uint8Array, from: number, to: number, by: 1 | -1): void {
    hashRow(bytes, from, to);
    const bucket = low % bucketCount;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + by;
    this.#lows[bucket] = (this.#lows[bucket] ?? 0) + by * low;
    this.#highs[bucket] = (this.#highs[bucket] ?? 0) + by * high;
  }

  /** Hashes of rows that are alone in their bucket: those added but not removed, and those removed but not added. */
  remainder(): { added: RowSet; removed: RowSet } {
    const [added, removed] = [new RowSet(), new RowSet()];
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const [low = 0, high = 0] = [this.#lows[bucket], this.#highs[bucket]];
      if (this.#counts[bucket] === 1) added.include(low, high);
      if (this.#counts[bucket] === -1) removed.include(-low >>> 0, -high >>> 0);
    }
    return { added, removed };
  }
}

/** Rows known by their hash. */
export class RowSet {
  readonly #hashes = new Set<string>();

  include(low: number, high: number): void {
    this.#hashes.add(`${low} ${high}`);
  }

  /** Whether the row is one of them; each is found once. */
  take(bytes: Uint8Array, from: number, to: number): boolean {
    hashRow(bytes, from, to);
    return this.#hashes.delete(`${low} ${high}`);
  }
}
