/**
 * Reads `.env.sh`. What is accepted means to us exactly what it means to /bin/sh; everything else is refused with its
 * line, the cause and what to write instead. dotenv does the reading, the guard makes sure that sh reads the same.
 */
import { parse } from "dotenv";
import { guardLine, type Known, references } from "./env-guard.ts";

interface Assignment {
  name: string;
  value: string;
  /** Line of the file, from 1. */
  line: number;
}

/** A line that is not accepted. Its texts hold no part of a value, but for the name in a `${NAME}`. */
interface Refusal {
  line: number;
  /** What the line tries to set, where that can be told. */
  name?: string;
  cause: string;
  remedy: string;
}

interface EnvFile {
  assignments: Assignment[];
  refusals: Refusal[];
  /** Names that some value refers to: variables of the file's own, not misspelt settings. */
  referenced: Set<string>;
}

/** Reads the bytes of an `.env.sh`; `$NAME` means an earlier line of the file, or else a variable of `environment`. */
export function parseEnvFile(content: Uint8Array, environment: Readonly<Record<string, string | undefined>>): EnvFile {
  const file: EnvFile = { assignments: [], refusals: [], referenced: new Set() };
  const known = new Map(Object.entries(environment));
  for (const [index, bytes] of splitLines(content).entries()) {
    const line = index + 1;
    const verdict = guardLine(bytes, line === 1, known);
    if (verdict === "blank") continue;
    if ("cause" in verdict) {
      file.refusals.push({ line, ...verdict });
      continue;
    }
    const { name, raw } = verdict;
    const value = raw.startsWith("'") ? read(raw) : expand(read(raw), known, file.referenced);
    known.set(name, value);
    file.assignments.push({ name, value, line });
  }
  return file;
}

function splitLines(content: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, start)) {
    lines.push(content.subarray(start, end));
    start = end + 1;
  }
  return [...lines, content.subarray(start)];
}

/** One value through dotenv, alone, so that its matching over several lines has nothing to go astray on. */
const read = (raw: string) => parse(`VALUE=${raw}`)["VALUE"] ?? "";

function expand(value: string, known: Known, referenced: Set<string>): string {
  return value.replace(references, (_, braced?: string, plain?: string) => {
    const name = braced ?? plain ?? "";
    referenced.add(name);
    return known.get(name) ?? "";
  });
}
