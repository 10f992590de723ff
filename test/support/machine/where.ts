/**
 * `test` and `describe` for what a machine may lack for good reason (a second server, IPv6). There the cases are left out,
 * and a line says so; they do not count as skipped: what is skipped should have run, and fails `.ci/run`.
 */
import { describe, test } from "bun:test";
import { registerAll } from "../expect/registered.ts";

type Register = (name: string, body: () => void | Promise<void>, limitMs?: number) => void;

export const testWhere = (has: boolean, what: string): Register => (has || listing ? test : leftOut(what));
export const describeWhere = (has: boolean, what: string): Register => (has || listing ? describe : leftOut(what));

/** Tests are listed (registered.ts) and none is run. */
const listing = process.env[registerAll] === "1";

const leftOut = (what: string) => (name: string) => console.log(`left out for want of ${what}: ${name}`);
