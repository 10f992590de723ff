/** The comparison of `verify`, on dumps that a test has made. */
import { expect } from "bun:test";
import {
  type Compared,
  type Comparing,
  compareFingerprints,
  type Fingerprint,
} from "../../../scripts-src/database/fingerprint.ts";

/** Reads in chunks that end anywhere. */
function printOf(comparing: Comparing, dump: Buffer, chunk: number, first?: Fingerprint): Fingerprint {
  const reader = comparing.reader(first ? { first } : {});
  for (let at = 0; at < dump.length; at += chunk) reader.add(dump.subarray(at, at + chunk));
  return reader.end();
}

export function compareDumps(comparing: Comparing, one: Buffer, other: Buffer): Compared {
  const first = printOf(comparing, one, 65_536);
  const second = printOf(comparing, other, 50_021, first);
  return compareFingerprints(first, second, comparing, { sameMajor: true, ignored: () => false });
}

export function expectSameDumps(comparing: Comparing, one: Buffer, other: Buffer): void {
  const { data, statements } = compareDumps(comparing, one, other);
  expect({ data, statements }).toEqual({ data: [], statements: [] });
}

/** What a person would be told of the difference holds `named`. */
export function expectNamed(comparing: Comparing, one: Buffer, other: Buffer, named: string): void {
  const { data, statements } = compareDumps(comparing, one, other);
  const told = [...data.map(({ what, how }) => `${what}: ${how}`), ...statements.map(({ text }) => text)];
  expect(told.join("\n")).toContain(named);
}
