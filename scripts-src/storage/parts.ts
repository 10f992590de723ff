/** How an upload is cut into parts. Pure. */
const MiB = 1024 * 1024;

/** The smallest part we send, and so the largest object that goes in one request. */
export const smallestPart = 8 * MiB;
const largestPart = 5 * 1024 * MiB;
/** S3's limit is 10,000; half are kept for a stream that turns out longer than was expected. */
const plannedParts = 5_000;
const growEvery = 250;

/**
 * Size in bytes of part `number` (from 1) of an upload of about `expectedBytes`. All planned parts are equal (R2 demands
 * it). A stream that outgrows its plan goes on with parts that grow by half every 250 (which all others take) rather than
 * fail: ten times the plan fits with parts 57 times as large, and 5 TiB, S3's limit, fits whatever was expected.
 */
export function partSize(number: number, expectedBytes = 0): number {
  const even = Math.ceil(expectedBytes / plannedParts / MiB) * MiB;
  const planned = Math.max(even, smallestPart);
  const growths = Math.max(0, Math.ceil((number - plannedParts) / growEvery));
  return Math.min(Math.ceil((planned * 1.5 ** growths) / MiB) * MiB, largestPart);
}

/**
 * How many parts may be on their way at once, beside the one that is being filled. Memory: 40 MiB for an object of up to
 * 39 GiB, 96 MiB up to 156 GiB, and then two parts: 2.1 GiB for 5 TiB, since 10,000 parts hold it only when they are large.
 */
export function partsAtOnce(size: number): number {
  if (size > 32 * MiB) return 1;
  return Math.max(2, Math.floor((32 * MiB) / size));
}
