/** The comparison of `verify`, on dumps that a test has made. */
import { expect } from "bun:test";
import { type Compared, type Comparing, compareFingerprints } from "../../../scripts-src/database/fingerprint.ts";
import type { DatabaseServer } from "../servers/server.ts";

/** Chunks that end anywhere. */
async function* chunksOf(dump: Buffer, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < dump.length; at += bytes) yield dump.subarray(at, at + bytes);
}

async function compareDumps(comparing: Comparing, one: Buffer, other: Buffer): Promise<Compared> {
  const first = await comparing.read(chunksOf(one, 65_536));
  const second = await comparing.read(chunksOf(other, 50_021), { first });
  return compareFingerprints(first, second, comparing, { sameSeries: true });
}

export async function expectSameDumps(comparing: Comparing, one: Buffer, other: Buffer): Promise<void> {
  const { data, statements } = await compareDumps(comparing, one, other);
  expect({ data, statements }).toEqual({ data: [], statements: [] });
}

/** What a person would be told of the difference holds `named`. */
async function expectNamed(comparing: Comparing, one: Buffer, other: Buffer, named: string): Promise<void> {
  const { data, statements } = await compareDumps(comparing, one, other);
  const told = [...data.map(({ what, how }) => `${what}: ${how}`), ...statements.map(({ text }) => text)];
  expect(told.join("\n")).toContain(named);
}

/** A server on which `expectFound` makes databases, and what dumps one of them. */
interface Ground {
  server: Pick<DatabaseServer, "createDatabase" | "dropDatabase" | "sql">;
  dumpOf(database: string): Promise<Buffer>;
}

/** A change of a database that `base` makes is found by comparing, and called `named`. */
export async function expectFound(
  comparing: Comparing,
  { server, dumpOf }: Ground,
  { base, change, named }: Record<"base" | "change" | "named", string>,
): Promise<void> {
  const name = `found${Bun.hash(change)}`;
  await server.createDatabase(name, base);
  const dump = await dumpOf(name);
  await server.sql(name, change);
  await expectNamed(comparing, dump, await dumpOf(name), named);
  await server.dropDatabase(name);
}
