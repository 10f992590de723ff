/** What a new database beside the present one needs to know of the server. */
import type { Connection } from "./connection.ts";

export interface Ground {
  present: Connection;
  maintenance: Connection;
  /** The system identifier of the server. */
  system: string | undefined;
  exists: boolean;
  /** The present database is not kept by an exchange: there is nothing in it. */
  empty: boolean;
}

export const transaction = (statements: readonly string[]) => ["BEGIN;", ...statements, "COMMIT;\n"].join("\n");
