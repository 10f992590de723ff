/** What the demo needs of a kind of database. */
import type { State } from "../support/expect/oracle.ts";

export interface Snapshot {
  /** Rows by table, and other things that are counted. */
  rows: Map<string, number>;
  /** A dump. */
  state: State;
}

export interface DemoDatabase {
  port: number;
  /** For DATABASE_URL. */
  url: string;
  /** Makes the sample database; says what it holds beside tables and rows. */
  create(): Promise<string>;
  look(): Promise<Snapshot>;
  /** The command line whose input `disaster` is. */
  client: string;
  disaster: string;
  destroy(): Promise<void>;
  stop(): Promise<void>;
}

/** Lines of name, a sign between, and number, as a map. */
export const counts = (text: string, sign: string): Map<string, number> =>
  new Map(
    text.split("\n").map((line) => {
      const at = line.lastIndexOf(sign);
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
