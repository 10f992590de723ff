/** sync beside `aws s3` and rclone, where they are installed, on one local Ceph that shares the machine's cores. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DeleteObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { type Ceph, startCeph } from "../support/servers/ceph.ts";
import { installScripts } from "../support/machine/executables.ts";
import { noise, s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";
import { type Contender, measure, table, type Wanted } from "./measure.ts";

const GiB = 2 ** 30;

export async function benchStorage(rounds: number): Promise<string> {
  const ceph = await startCeph(8);
  const dir = tempDir("bench");
  try {
    const bucket = await ceph.newBucket();
    writeFiles(join(dir, "large"), 1, GiB);
    writeFiles(join(dir, "small"), 2_000, 16 * 1024);
    writeFiles(join(dir, "many"), 10_000, 16);
    mkdirSync(join(dir, "none"));
    const clients = clientsFor(ceph, bucket, dir);
    const names = clients.map(({ name }) => name).join(", ");
    const sections: [title: string, folder: string, again: boolean, ...wanted: Wanted[]][] = [
      ["Upload of 1 GiB", "large", false, { atMost: 0.75, of: ["aws s3 sync"] }],
      ["2,000 files of 16 KiB, first time", "small", false, { atMost: 0.8, of: ["rclone sync"] }],
      ["2,000 files, unchanged", "small", true],
      ["10,000 files, unchanged", "many", true],
      ["No files", "none", true, { atMost: 0.11 }],
    ];
    const parts = [`## S3 (${names}; Ceph's RADOS gateway, in memory)`, ""];
    for (const [title, folder, again, ...wanted] of sections) {
      const contenders = clients.map(({ name, contender }) => ({
        ...contender(folder, again),
        wanted: name === "sync" ? wanted : [],
      }));
      if (again) for (const { command, env } of contenders.slice(0, 1)) await fill(command, env);
      parts.push(table(title, await measure(contenders, rounds), "sync"));
    }
    return parts.join("\n");
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await ceph.stop();
  }
}

/** Files that are named like backups. Written by blocks: what is measured inherits our peak of memory (`ru_maxrss`). */
function writeFiles(folder: string, count: number, bytes: number): void {
  mkdirSync(folder);
  const block = noise(Math.min(bytes, 1024 * 1024));
  for (let i = 0; i < count; i++) {
    const time = new Date(Date.UTC(2026, 0, 1) + i * 3_600_000).toISOString().slice(0, 19).replace("T", "_");
    const file = join(folder, `app_${time.replaceAll(":", "-")}.sql.gz`);
    for (let written = 0; written < bytes; written += block.length) appendFileSync(file, block);
  }
}

async function fill(command: string[], env: Record<string, string> = {}): Promise<void> {
  const child = Bun.spawn(command, { env: { ...process.env, ...env }, stdout: "ignore", stderr: "ignore" });
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed`);
}

interface Client {
  name: string;
  contender(folder: string, again: boolean): Contender;
}

function clientsFor(ceph: Ceph, bucket: string, dir: string): Client[] {
  const scripts = installScripts(s3Settings(ceph, bucket));
  const login = { AWS_ACCESS_KEY_ID: ceph.key, AWS_SECRET_ACCESS_KEY: ceph.secret };
  const aws = realProgram("aws");
  const rclone = Bun.which("rclone");
  const all: [name: string, env: Record<string, string>, words: string][] = [
    ["sync", {}, `BACKUP_DIR="$FOLDER" S3_PATH="$PLACE" exec ${scripts.dir}/sync`],
    [
      "aws s3 sync",
      { ...login, AWS_REQUEST_CHECKSUM_CALCULATION: "when_required" },
      `exec ${aws} --endpoint-url ${ceph.url} s3 sync --size-only --no-progress "$FOLDER" "s3://${bucket}/$PLACE"`,
    ],
    [
      "rclone sync",
      {
        RCLONE_CONFIG_CEPH_TYPE: "s3",
        RCLONE_CONFIG_CEPH_PROVIDER: "Ceph",
        RCLONE_CONFIG_CEPH_ENDPOINT: ceph.url,
        RCLONE_CONFIG_CEPH_ACCESS_KEY_ID: ceph.key,
        RCLONE_CONFIG_CEPH_SECRET_ACCESS_KEY: ceph.secret,
        RCLONE_CONFIG: "/dev/null",
        // its HTTP client cannot load one
        AWS_CA_BUNDLE: "",
      },
      `exec ${rclone} sync -q --fast-list --size-only --transfers 32 --s3-chunk-size 16M --s3-upload-concurrency 4 "$FOLDER" "ceph:${bucket}/$PLACE"`,
    ],
  ];
  return all
    .filter((_, i) => [true, aws, rclone][i])
    .map(([name, env, words]) => ({ name, contender: (folder, again) => contender(name, env, words, folder, again) }));

  /** The first time each round has a place of its own in the bucket; all that come again share what one has filled. */
  function contender(
    name: string,
    env: Record<string, string>,
    words: string,
    folder: string,
    again: boolean,
  ): Contender {
    const place = join(dir, "place");
    let last = "";
    const prepare = async () => {
      if (last) await empty(ceph, bucket, last);
      if (!again) last = `${name.replaceAll(" ", "-")}-${crypto.randomUUID()}/`;
      writeFileSync(place, again ? `filled-${folder}` : last);
    };
    const command = ["sh", "-c", `PLACE=$(cat ${place}); FOLDER=${join(dir, folder)}; ${words}`];
    writeFileSync(place, `filled-${folder}`);
    return { name, env, prepare, command };
  }
}

/** Memory is what this Ceph stores in: what the last round left goes. */
async function empty(ceph: Ceph, Bucket: string, Prefix: string): Promise<void> {
  for (;;) {
    const { Contents = [], IsTruncated } = await ceph.client.send(new ListObjectsV2Command({ Bucket, Prefix }));
    await Promise.all(Contents.map(({ Key }) => ceph.client.send(new DeleteObjectCommand({ Bucket, Key }))));
    if (!IsTruncated) return;
  }
}

/** A version manager's stand-in costs time of its own: what it stands for. */
function realProgram(name: string): string | null {
  const found = Bun.which(name);
  if (!found?.includes("/shims/")) return found;
  const { stdout, success } = Bun.spawnSync(["pyenv", "which", name], { stderr: "ignore" });
  return success ? stdout.toString().trim() : found;
}
