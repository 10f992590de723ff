import type { PostgresServer } from "../support/servers/postgres.ts";
import { until } from "../support/machine/until.ts";

/** Something in the database that a load of a dump runs into and waits at. */
export interface Gate {
  /** Waits until a session stands at the gate. */
  reached(): Promise<unknown>;
  /** Lets it pass, and whoever comes later; resolves when nobody stands there any more. */
  open(): Promise<void>;
}

/** Part of what is backed up: a load in place stands at the index, behind the data and before foreign keys, until the gate is open. */
export const gateIn = (table: string): string => `
  CREATE FUNCTION public.gate(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    PERFORM pg_advisory_xact_lock(4711); RETURN $1; END $$;
  CREATE INDEX a_gate ON ${table} (public.gate(id)) WHERE id = 1;`;

/** Closes the gate of a database whose backup holds `gateIn`. */
export async function closeGate(server: PostgresServer, database: string): Promise<Gate> {
  const count = async (condition: string) =>
    Number(
      await server.sql(
        database,
        `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND ${condition}`,
      ),
    );
  const keeper = server.sql(database, "SELECT pg_advisory_lock(4711); SELECT pg_sleep(600)").catch(() => "ended");
  await until("the gate is closed", () => count("granted"));
  return {
    reached: () => until("somebody stands at the gate", () => count("NOT granted")),
    async open() {
      const held = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND datname = current_database()`;
      await server.sql(database, held);
      await keeper;
      await until("nobody stands at the gate", async () => (await count("true")) === 0);
    },
  };
}
