/** The one place that starts psql. */
import { exitStatus, Failure } from "../../base/errors.ts";
import { type Program, start } from "../../base/process.ts";
import { type Client, knowsRestrict } from "./clients.ts";
import type { Connection } from "./connection.ts";

/** psql without surprises: no .psqlrc, no questions, the first error ends it. */
const words = ["--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1"];

/**
 * Starts psql, locked: whatever it reads on its stdin, it runs SQL and no command of its own (`\!`, `\copy`, `\o |program`), because
 * it obeys no command between our `\restrict` and an `\unrestrict` with the same token, which nobody knows.
 */
export function startPsql(connection: Connection, options: readonly string[] = []): Program {
  const { psql } = connection;
  const program = start([psql.path, ...words, ...options, connection.dbname], connection);
  // a psql that has ended already says itself why
  if (knowsRestrict(psql)) write(program, `\\restrict ${crypto.randomUUID().replaceAll("-", "")}\n`).catch(() => {});
  return program;
}

const write = async (program: Program, text: string) => program.stdin.write(text);

/** Throws a `Failure` when this psql cannot be locked and the file is not our own. */
export function checkLock(psql: Client, trusted: boolean): void {
  if (trusted || knowsRestrict(psql)) return;
  throw new Failure(
    `psql ${psql.version} cannot be kept from running commands that a dump may hide, and the file is not known to be our own`,
    {
      status: exitStatus.missingProgram,
      hints: [
        "update PostgreSQL's client programs: 13.22, 14.19, 15.14, 16.10, 17.6, 18 and newer can be locked",
        "or, when you know where the file comes from, move it to BACKUP_DIR and restore it from there",
      ],
    },
  );
}
