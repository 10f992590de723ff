/** backup beside what a person would install in its place: restic and pgbackrest of Debian, and pg_dump's own formats. */
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backupBy, shell, withDatabase } from "./database.ts";
import { type Contender, measure, table } from "./measure.ts";

export const benchPeers = (rows: number, rounds: number): Promise<string> =>
  withDatabase(rows, async ({ server, dir }) => {
    const ours = backupBy(server, dir, "backup, gzip", {});
    const env = server.env("bench");
    const peer = (name: string, folder: string, command: string, more: Record<string, string> = {}): Contender => ({
      name,
      env: { ...env, ...more },
      prepare: async () => rmSync(join(dir, folder), { recursive: true, force: true }),
      command: shell(command),
      size: () => sizeOf(join(dir, folder)),
    });
    const restic = `restic -q -r ${dir}/restic`;
    const contenders = [
      ours,
      peer("pg_dump -Fc", "custom", `pg_dump -Fc -f ${dir}/custom`),
      peer("pg_dump -Fd -j2", "directory", `pg_dump -Fd -j2 -f ${dir}/directory`),
      peer("pg_dump | restic backup --stdin", "restic", `${restic} init; pg_dump | ${restic} backup --stdin`, {
        RESTIC_PASSWORD: "bench",
      }),
      pgbackrest(),
    ];
    const labels = [
      "All of them read the whole database. restic encrypts and finds what it has already; pgbackrest copies the files of the",
      "whole server, indexes too, and can restore to a point in time. Only `backup` reads what it has written to its end and counts the rows.",
    ];
    return [table("Beside others", await measure(contenders, rounds), ours.name), ...labels, ""].join("\n");

    function pgbackrest(): Contender {
      const config = join(dir, "pgbackrest.conf");
      const lines = [
        "[global]",
        `repo1-path=${dir}/pgbackrest`,
        `lock-path=${dir}`,
        "log-level-file=off",
        "log-level-console=error",
        "process-max=2",
        "start-fast=y",
        // the server of the bench archives nothing: a full backup alone is measured
        "archive-check=n",
        "[bench]",
        `pg1-path=${join(server.socketDir, "data")}`,
        `pg1-socket-path=${server.socketDir}`,
        `pg1-port=${server.port}`,
        `pg1-user=${server.user}`,
      ];
      writeFileSync(config, lines.join("\n"));
      const program = `pgbackrest --config=${config} --stanza=bench`;
      const command = `${program} stanza-create; ${program} --type=full backup`;
      return peer("pgbackrest --type=full, 2 processes", "pgbackrest", command, { PGDATABASE: "postgres" });
    }
  });

/** Bytes of a file, or of all files in a folder and below. */
function sizeOf(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
