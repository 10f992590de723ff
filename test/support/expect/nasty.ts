import { readFileSync } from "node:fs";
import { join } from "node:path";
import { identifier, type PostgresServer } from "../servers/postgres.ts";

/** Roles that own things or have privileges in the nasty database. */
const roles = ["nasty_owner", "nasty_reader", "Nasty Röle"];

/** Creates the nasty database of `nasty.sql`, and its roles, which belong to the whole server. */
export async function createNasty(server: PostgresServer, name: string): Promise<void> {
  await server.sql("postgres", roles.map((role) => `CREATE ROLE ${identifier(role)};`).join("\n"));
  await server.createDatabase(name, readFileSync(join(import.meta.dir, "nasty.sql"), "utf8"));
}
