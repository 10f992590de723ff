/** The built executables, deployed into a temporary folder as a user would, and run in an empty environment. */
import { copyFileSync, existsSync, linkSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { giveSettings, show } from "./leaks.ts";
import { settingsFile } from "./settings-file.ts";
import { removeDir, tempDir } from "./temp.ts";
import { until } from "./until.ts";

const built = resolve(import.meta.dir, "../../../backup_scripts");

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  stdin?: string;
  /** After so long (default: two minutes) it is killed, so that no test hangs. */
  limitMs?: number;
}

/** How a run of an executable ended. A signal n counts as status 128 + n. */
export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

/** An executable that still runs. */
export interface Running {
  pid: number;
  /** What it has written to stderr so far. */
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
  done: Promise<Ran>;
}

export interface Installation {
  /** Folder of the executables and of `.env.sh`. */
  dir: string;
  /** Its BACKUP_DIR when no setting says otherwise. */
  backups: string;
  /** Replaces the settings file. */
  configure(settings: Record<string, string>): void;
  run(script: string, args?: string[], options?: RunOptions): Promise<Ran>;
  start(script: string, args?: string[], options?: RunOptions): Running;
  /** Names in the backup folder that are those of committed backups; of each database, the oldest first. */
  list(): string[];
  /** Everything that lies in the backup folder, hidden files included. */
  everything(): string[];
  remove(): void;
}

const names = ["backup_scripts", "backup", "restore", "verify", "list", "sync", "help", "schedule"];

/** What a backup file is called, whatever its database and compression. */
export const backupName = /^.+_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}(-\d+)?\.sql(\.gz|\.zst)?(\.age)?$/;

/** Names of backups by database and age. Names alone sort `…-2.sql.gz`, the second of one second, before `….sql.gz`. */
export function oldestFirst(names: readonly string[]): string[] {
  const age = (name: string) =>
    name.replace(
      /(_\d\d-\d\d-\d\d)(?:-(\d{1,6}))?\.sql.*$/,
      (_, clock: string, sequence = "1") => `${clock}-${String(sequence).padStart(6, "0")}`,
    );
  return names.toSorted((a, b) => (age(a) < age(b) ? -1 : 1));
}

/** Deploys the executables with these settings. */
export function installScripts(settings: Record<string, string> = {}): Installation {
  const dir = tempDir("scripts");
  for (const name of names) place(name, join(dir, name));
  const backups = join(dir, "backups");
  const everything = () => (existsSync(backups) ? readdirSync(backups).toSorted() : []);
  const configure = (all: Record<string, string>) => {
    giveSettings(all);
    writeFileSync(join(dir, ".env.sh"), settingsFile(all), { mode: 0o600 });
  };
  configure(settings);
  const start = (script: string, args: string[] = [], options: RunOptions = {}) =>
    startProgram([join(dir, script), ...args], options);
  return {
    dir,
    backups,
    configure,
    start,
    everything,
    run: async (script, args, options) => {
      const ran = await start(script, args, options).done;
      await showManifests(dir);
      return ran;
    },
    list: () => oldestFirst(everything().filter((name) => backupName.test(name))),
    remove: () => removeDir(dir),
  };
}

async function showManifests(dir: string): Promise<void> {
  for (const file of new Bun.Glob("**/*.json").scanSync({ cwd: dir, dot: true, absolute: true }))
    show(
      file,
      await Bun.file(file)
        .text()
        .catch(() => ""),
    ); // another run may delete it meanwhile
}

/** Hard links need one file system; elsewhere the first copy is linked. */
let copy: string | undefined;
function place(name: string, target: string): void {
  const source = join(built, name);
  if (!existsSync(source)) return;
  try {
    linkSync(copy ?? source, target);
  } catch {
    copyFileSync(source, target);
    copy = join(tempDir("executable"), "copy");
    linkSync(target, copy);
  }
}

const usualLimitMs = 120_000;

/** Starts a program with PATH alone in its environment. */
export function startProgram(argv: string[], options: RunOptions = {}): Running {
  giveSettings(options.env ?? {});
  const child = Bun.spawn(argv, {
    cwd: options.cwd ?? "/",
    env: { PATH: process.env.PATH ?? "", ...options.env },
    stdin: new Blob([options.stdin ?? ""]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const killer = setTimeout(() => child.kill("SIGKILL"), options.limitMs ?? usualLimitMs);
  let stderr = "";
  const reading = read(child.stderr, (text) => (stderr += text));
  const finish = async (): Promise<Ran> => {
    const [stdout] = await Promise.all([child.stdout.text(), reading, child.exited]);
    clearTimeout(killer);
    show(`the output of ${argv.join(" ")}`, stdout + stderr);
    return { status: statusOf(child), stdout, stderr };
  };
  return { pid: child.pid, stderr: () => stderr, kill: (signal) => child.kill(signal), done: finish() };
}

/** Starts a program under a limit of the shell: "-n 64" allows 64 open files. */
export const startLimited = (limit: string, argv: string[]): Running =>
  startProgram(["/bin/sh", "-c", `ulimit ${limit}; exec "$0" "$@"`, ...argv]);

const statusOf = (child: Bun.Subprocess) =>
  child.signalCode ? 128 + (signals[child.signalCode] ?? 0) : (child.exitCode ?? -1);
const signals: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGPIPE: 13, SIGTERM: 15 };

async function read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

/** A program on a terminal of 100 columns. */
export interface OnTerminal {
  pid: number;
  /** All that it has shown so far. */
  shown(): string;
  type(text: string): void;
  /** Waits until `text` has been shown. */
  sees(text: string | RegExp): Promise<unknown>;
  exited: Promise<number>;
}

/** Starts a program with a terminal as stdin, stdout and stderr. */
export function startOnTerminal(
  argv: string[],
  env: Record<string, string> = {},
  limitMs: number = usualLimitMs,
): OnTerminal {
  giveSettings(env);
  let shown = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn(argv, {
    cwd: "/",
    env: { PATH: process.env.PATH ?? "", TERM: "xterm", ...env },
    terminal: { cols: 100, rows: 30, data: (_, bytes) => (shown += decoder.decode(bytes, { stream: true })) },
  });
  const killer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const exited = child.exited.then(() => {
    clearTimeout(killer);
    child.terminal?.close();
    show(`the terminal of ${argv.join(" ")}`, shown);
    return statusOf(child);
  });
  const has = (text: string | RegExp) => (typeof text === "string" ? shown.includes(text) : text.test(shown));
  return {
    pid: child.pid,
    shown: () => shown,
    type: (text) => void child.terminal?.write(text),
    sees: (text) =>
      until(`the terminal shows ${text}`, () => {
        if (!has(text) && child.exitCode !== null) throw new Error(`ended without showing ${text}: ${shown}`);
        return has(text);
      }),
    exited,
  };
}
