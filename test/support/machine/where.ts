/**
 * `test` and `describe` for what a machine may lack for good reason (a second server, IPv6). There the cases are left out,
 * and a line says so; they do not count as skipped: what is skipped should have run, and fails `.ci/run`.
 */
import { describe, test } from "bun:test";
import { isListing } from "../expect/registered.ts";

type Register = (name: string, body: () => void | Promise<void>, limitMs?: number) => void;

export const testWhere = (has: boolean, what: string): Register => (has || isListing ? test : leftOut(what));
export const describeWhere = (has: boolean, what: string): Register => (has || isListing ? describe : leftOut(what));

const leftOut = (what: string) => (name: string) => console.log(`left out for want of ${what}: ${name}`);
