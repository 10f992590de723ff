/** Child processes. Short commands go through zx's `$`; the bytes of a dump never do (zx keeps all that passes). */
import { accessSync, constants } from "node:fs";
import { constants as system } from "node:os";
import type { Shell } from "zx";
import { atExit } from "./cleanup.ts";
import { codeOf, exitStatus, Failure, messageOf } from "./errors.ts";
import { scriptLog } from "./log.ts";

/** One word for /bin/sh, whatever it holds. */
export const quote = (word: string): string =>
  /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Sends a signal to a program and to what it started. */
function killGroup(child: Bun.Subprocess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // it has ended by itself
  }
}

/** Where programs start: in the present folder, but in / when we may not enter that (`sudo -u backup`, typed in /root), or it is gone. */
function childFolder(): string {
  try {
    accessSync(process.cwd(), constants.X_OK);
    return process.cwd();
  } catch {
    return "/";
  }
}

/**
 * zx's `$` for short commands: /bin/sh instead of bash, quiet, own process group (so that a Ctrl-C reaches us alone
 * and we end the children in order). `ZX_*` variables of a stranger's environment are not obeyed.
 */
export async function shell(env: Record<string, string>, signal: AbortSignal): Promise<Shell> {
  // loaded when it is needed: a wrong setting is told after 42 ms of CPU time instead of 55
  const { $: zx } = await import("zx");
  return zx({
    shell: "/bin/sh",
    prefix: "",
    postfix: "",
    quote,
    verbose: false,
    quiet: true,
    nothrow: true,
    detached: true,
    preferLocal: false,
    log: (entry) => {
      if (entry.kind === "cmd") runs(entry.cmd);
    },
    cwd: childFolder(),
    env: childEnvironment(env),
    signal,
  });
}

/** Logs a command, in one line that does not grow with the SQL in it. No secret is ever a word of a command. */
const runs = (command: string) => scriptLog().debug(`runs ${command.replaceAll(/\s+/g, " ").slice(0, 300)}`);

/** A program that is fed or read as a byte stream. */
export interface Program {
  stdin: Bun.FileSink;
  stdout: ReadableStream<Uint8Array>;
  /** The last lines of its stderr (at most 16 KiB), complete when it has ended. */
  stderr: Promise<string>;
  /** Exit status; a signal n is 128 + n. */
  exited: Promise<number>;
  /** Ends the program and what it started. */
  stop(): void;
}

/**
 * Starts a program with an argument array (no shell) in a process group of its own. Abort of `signal` ends it: SIGTERM,
 * and SIGKILL 5 seconds later. It has the open `file` as its descriptor 3. Throws a `Failure` with status 3 when the program cannot
 * be started.
 */
export function start(
  argv: string[],
  options: { env?: Record<string, string>; signal: AbortSignal; file?: number },
): Program {
  options.signal.throwIfAborted();
  runs(argv.map(quote).join(" "));
  const child = spawn(argv, childEnvironment(options.env), options.file);
  const forget = atExit(() => killGroup(child, "SIGKILL"));
  let killer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    killGroup(child, "SIGTERM");
    killer ??= setTimeout(() => killGroup(child, "SIGKILL"), 5_000);
  };
  options.signal.addEventListener("abort", stop, { once: true });
  const exited = child.exited.then((status) => {
    forget();
    clearTimeout(killer);
    options.signal.removeEventListener("abort", stop);
    return child.signalCode ? 128 + system.signals[child.signalCode as NodeJS.Signals] : status;
  });
  return { stdin: child.stdin, stdout: child.stdout, stderr: lastOf(child.stderr, 16_384), exited, stop };
}

function spawn(argv: string[], env: Record<string, string>, file: number | undefined) {
  try {
    return Bun.spawn(argv, {
      stdio: ["pipe", "pipe", "pipe", ...(file === undefined ? [] : [file])],
      cwd: childFolder(),
      env,
      detached: true,
    });
  } catch (error) {
    // nothing is wrong with the program: this machine, or this user, is at a limit
    if (["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"].includes(codeOf(error) ?? "")) throw error;
    throw new Failure(`cannot start ${argv[0]}: ${messageOf(error)}`, {
      status: exitStatus.missingProgram,
      hints: [`look at ${argv[0]}: it is not what it should be`],
      cause: error,
    });
  }
}

/**
 * The first `limit` bytes that a program writes to its stdout: whatever it is, its output does not fill the memory. Empty when
 * it cannot be started.
 */
export async function firstOutput(argv: string[], limit: number): Promise<string> {
  let said = Buffer.alloc(0);
  try {
    const program = start(argv, { signal: new AbortController().signal });
    await program.stdin.end();
    for await (const chunk of program.stdout) {
      said = Buffer.concat([said, chunk]);
      if (said.length < limit) continue;
      program.stop();
      break;
    }
    await program.exited;
  } catch {
    // no program after all
  }
  return said.toString("utf8", 0, limit);
}

/** Reads a stream to its end and keeps the last `limit` bytes of it. */
async function lastOf(stream: ReadableStream<Uint8Array>, limit: number): Promise<string> {
  let kept = Buffer.alloc(0);
  for await (const chunk of stream) kept = Buffer.concat([kept, chunk]).subarray(-limit);
  return kept.toString().trim();
}

/** What programs and their libraries read, wherever they come from. */
const general =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LC_\w+|LOCPATH|LOCALE_ARCHIVE|GCONV_PATH|TZ|TZDIR|TMPDIR|TMP|TEMP|XDG_\w+|(?:LD|DYLD)_\w+|NSS_WRAPPER_\w+|RES_OPTIONS|LOCALDOMAIN|HOSTALIASES|SSL_CERT_\w+|OPENSSL_\w+|SSLKEYLOGFILE|(?:https?|all|no|ftp)_proxy)$/i;
/** What libpq, psql and pg_dump document, with Kerberos. */
const postgres = /^(?:PG[A-Z]\w*|PSQL_\w+|KRB5\w*|GSS\w*)$/;
/** What MySQL's and MariaDB's programs document; MYSQL_ROOT_PASSWORD and others are those of a container's server. */
const mysql =
  /^(?:MYSQL_(?:HOST|PWD|TCP_PORT|UNIX_PORT|HOME|GROUP_SUFFIX|TEST_LOGIN_FILE|DEBUG)|MARIADB_(?:HOST|TCP_PORT|UNIX_PORT|HOME|PLUGIN_DIR|TLS\w*)|LIBMYSQL_\w+)$/;
/** For client programs that are scripts and reach a container or another machine. */
const wrappers =
  /^(?:DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY)|CONTAINER_(?:HOST|CONNECTION)|KUBECONFIG|SSH_AUTH_SOCK)$/;

const isPassedOn = (name: string) => [general, postgres, mysql, wrappers].some((pattern) => pattern.test(name));

/**
 * The environment for a program: what it may need of ours, messages in English so that they can be understood and explained,
 * and `extra`.
 */
export function childEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  // LC_ALL would decide the language of messages too
  const { LC_ALL: locale } = process.env;
  const kept = variables((name) => isPassedOn(name) && !(locale ? /^LC_/ : /^LC_ALL$/).test(name));
  return { ...kept, ...(locale && { LANG: locale }), LC_MESSAGES: "C", LANGUAGE: "", ...extra };
}

/** The variables of our environment whose names fit. */
export const variables = (fits: (name: string) => boolean): Record<string, string> =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => fits(name))) as Record<string, string>;
