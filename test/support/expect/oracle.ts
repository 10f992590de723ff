/** The oracle of a round trip: two states of a database are the same when their dumps are. */
import { join } from "node:path";
import type { PostgresServer } from "../servers/postgres.ts";
import { removeDir, tempDir } from "../machine/temp.ts";

/** A dump in a temporary file. */
export interface State {
  file: string;
  sha256: string;
}

/** The state of a database: schema, data, large objects, owners and privileges. `options` are more words for pg_dump. */
export async function stateOf(server: PostgresServer, database: string, options: string[] = []): Promise<State> {
  const file = join(tempDir("state"), "dump.sql");
  const pgDump = join(server.clientDir, "pg_dump");
  const argv = [pgDump, ...fixedToken(pgDump), ...options, "--file", file];
  const child = Bun.spawn(argv, { env: server.env(database), stdout: "ignore", stderr: "pipe" });
  const words = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`pg_dump: ${words}`);
  return { file, sha256: await hashOf(file) };
}

export async function hashOf(file: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(file).stream()) hash.update(chunk);
  return hash.digest("hex");
}

/** The `\restrict` token of a plain dump is random unless it is given; minor releases before August 2025 have none. */
function fixedToken(pgDump: string): string[] {
  const help = Bun.spawnSync([pgDump, "--help"]).stdout.toString();
  return help.includes("--restrict-key") ? ["--restrict-key=oracle"] : [];
}

/** Fails with the first lines that differ, unless the database is as it was. */
export async function expectState(server: PostgresServer, database: string, before: State, options?: string[]) {
  expectSame(database, before, await stateOf(server, database, options));
}

/** Fails with the first lines that differ; the file of `now` goes. */
export function expectSame(database: string, before: State, now: State): void {
  if (now.sha256 !== before.sha256) throw new Error(`${database} is not as it was:\n${difference(before, now)}`);
  removeDir(join(now.file, ".."));
}

function difference(before: State, now: State): string {
  const diff = ["diff", "--text", "--unified=3", "--speed-large-files", before.file, now.file];
  const short = `${diff.join(" ")} | head -c 200000 | cut -c 1-200 | head -60`;
  return Bun.spawnSync(["/bin/sh", "-c", short]).stdout.toString();
}
