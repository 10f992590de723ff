/**
 * What a dump holds, as the manifest keeps it. The backup has read the dump to its end; as long as the file is the same to the last byte
 * and is read by the same version of this program, a restore finds nothing else in it.
 */
import { version } from "../base/version.ts";
import type { Contents } from "./database.ts";

/** Which file, and which program has read it. */
interface Reading {
  /** Of the file, lower-case hexadecimal. */
  sha256: string;
  programVersion: string;
}

/** Characters of JSON, enough for ten thousand tables. A manifest must stay far below the size beyond which it is not read. */
const mostKept = 1 << 20;

/**
 * The contents as data, without the rows of each table and the size, which the manifest has anyway, and without empty lists. Undefined
 * when the data is too large for a manifest.
 */
export function keptContents(
  contents: Contents,
  { sha256 }: Pick<Reading, "sha256">,
): Record<string, unknown> | undefined {
  const { rows: _rows, bytes: _bytes, ...others } = contents;
  const fields = Object.entries(others).map(([field, value]) => [field, asData(value)] as const);
  const kept = { fileSha256: sha256, ...Object.fromEntries(fields.filter(([, value]) => !isEmpty(value))) };
  return JSON.stringify(kept).length > mostKept ? undefined : kept;
}

/**
 * The contents of which `keptContents` made this data. `empty` is filled with them. Undefined when the data describes another file, was
 * written by another version, or has a shape that `keptContents` does not write.
 */
export function recalledContents<C extends Contents>(empty: C, kept: unknown, file: Reading): C | undefined {
  const { fileSha256, ...data } = Object(kept) as Record<string, unknown>;
  if (fileSha256 !== file.sha256 || file.programVersion !== version) return undefined;
  const before = new Map(Object.entries(empty));
  const fields = Object.entries(data);
  if (!fields.every(([field, value]) => before.has(field) && fits(before.get(field), value))) return undefined;
  return Object.assign(
    empty,
    Object.fromEntries(fields.map(([field, value]) => [field, asBefore(before.get(field), value)])),
  );
}

function asData(value: unknown): unknown {
  if (value instanceof Set) return [...value];
  return value instanceof Map ? Object.fromEntries([...value].map(([key, one]) => [key, asData(one)])) : value;
}

function asBefore(empty: unknown, data: unknown): unknown {
  if (empty instanceof Set) return new Set(data as Iterable<unknown>);
  return empty instanceof Map ? new Map(Object.entries(data as object)) : data;
}

/** Whether the data can have been made of something like `empty`. */
function fits(empty: unknown, data: unknown): boolean {
  if (empty instanceof Set || Array.isArray(empty)) return areTexts(data);
  if (!(empty instanceof Map)) return typeof data === typeof (empty ?? "");
  if (!(data instanceof Object) || Array.isArray(data)) return false;
  return Object.values(data).every((value) => typeof value === "string" || areTexts(value));
}

const areTexts = (data: unknown): boolean =>
  Array.isArray(data) && data.every((value: unknown) => typeof value === "string");

const isEmpty = (value: unknown): boolean => value instanceof Object && Object.keys(value).length === 0;
