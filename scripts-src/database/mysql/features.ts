/** What one family writes into a dump and the other does not take: loaded there it would fail or mean something else. */
import type { Family } from "./clients.ts";

/** By name; the pattern is looked for in statements without their strings, quoted names (now ``) and comments. */
const onlyIn: Record<Family, Record<string, RegExp>> = {
  mariadb: {
    sequences: /^CREATE SEQUENCE\b|\bnextval\(/,
    "system-versioned tables and periods": /\bWITH SYSTEM VERSIONING\b|\bPERIOD FOR\b|\bWITHOUT OVERLAPS\b/,
    "the types uuid, inet4 and inet6": /^CREATE TABLE[\s\S]*`` (?:uuid|inet4|inet6)\b/,
    "values of generated columns": /^CREATE TABLE[\s\S]*\bGENERATED ALWAYS AS\b/,
    "defaults that are functions": /^CREATE TABLE[\s\S]*\bDEFAULT (?!current_timestamp|current_date|nextval)\w+\(/i,
    packages: /^CREATE\b[^;]*? PACKAGE\b/,
    "aggregate functions": /^CREATE\b[^;]*? AGGREGATE FUNCTION\b/,
  },
  mysql: {
    "keys over expressions": /\bKEY `` (?:USING \w+ )?\((?:[^()]*,)?\(/,
    "constraints that are not enforced": /\bNOT ENFORCED\b/,
    "the type vector": /`` vector\(/,
    "lateral tables": /\bLATERAL\b/i,
  },
};

/** Every one of them, of either family. */
export const features: readonly (readonly [name: string, pattern: RegExp])[] = Object.values(onlyIn).flatMap(
  (patterns) => Object.entries(patterns),
);

/** Those that belong to `family` alone. */
export const isOnlyIn = (family: Family, feature: string): boolean => feature in onlyIn[family];
