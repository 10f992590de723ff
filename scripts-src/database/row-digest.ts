/**
 * Digests of a table's rows that do not depend on their order: the sum of every row's hash. (A sum and not an exclusive or, which
 * would lose every pair of equal rows.) Made to find what went wrong, not to withstand an adversary: that is the signature's task.
 */

/** A row's hash, of 64 bits, as every sum of them is. */
const hashOf = (bytes: Uint8Array, from: number, to: number): bigint => Bun.hash.xxHash3(bytes.subarray(from, to));

/** How many buckets `RowBuckets` has: enough to find some ten thousand differing rows. */
const bucketCount = 65_536;

/** Something that takes rows. */
export interface RowSink {
  add(bytes: Uint8Array, from: number, to: number): void;
}

/** Count and digest of the rows of one table. */
export class RowDigest implements RowSink {
  rows = 0;
  #sum = 0n;

  /** Takes the row `bytes[from, to)`. */
  add(bytes: Uint8Array, from: number, to: number): void {
    this.rows++;
    this.#sum = BigInt.asUintN(64, this.#sum + hashOf(bytes, from, to));
  }

  equals(other: RowDigest): boolean {
    return this.rows === other.rows && this.#sum === other.#sum;
  }
}

/** The rows of one table, thrown into buckets by their hash: subtracting two of them leaves the rows that only one has. */
export class RowBuckets implements RowSink {
  readonly #counts = new Int32Array(bucketCount);
  readonly #sums = new BigUint64Array(bucketCount);

  add(bytes: Uint8Array, from: number, to: number): void {
    this.#change(hashOf(bytes, from, to), 1);
  }

  remove(bytes: Uint8Array, from: number, to: number): void {
    this.#change(hashOf(bytes, from, to), -1);
  }

  #change(hash: bigint, by: 1 | -1): void {
    const bucket = Number(hash % BigInt(bucketCount));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + by;
    this.#sums[bucket] = (this.#sums[bucket] ?? 0n) + BigInt(by) * hash;
  }

  /** Hashes of rows that are alone in their bucket: those added but not removed, and those removed but not added. */
  remainder(): { added: RowSet; removed: RowSet } {
    const [added, removed] = [new RowSet(), new RowSet()];
    for (const [bucket, sum] of this.#sums.entries()) {
      if (this.#counts[bucket] === 1) added.add(sum);
      if (this.#counts[bucket] === -1) removed.add(BigInt.asUintN(64, -sum));
    }
    return { added, removed };
  }
}

/** Rows known by their hash. */
export class RowSet extends Set<bigint> {
  /** Whether the row is one of them; each is found once. */
  take(bytes: Uint8Array, from: number, to: number): boolean {
    return this.delete(hashOf(bytes, from, to));
  }
}
