import { readFileSync } from "node:fs";

/** The text of a gzip file, by the stock gunzip: whatever it refuses is no gzip. */
export async function gunzip(file: string): Promise<string> {
  const child = Bun.spawn(["gzip", "-dc", file], { stdout: "pipe", stderr: "pipe" });
  const [text, words] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`gzip -dc ${file}: ${words}`);
  return text;
}

/** The manifest beside a backup file. */
export const readManifest = (file: string): Record<string, unknown> =>
  JSON.parse(readFileSync(`${file}.json`, "utf8")) as Record<string, unknown>;
