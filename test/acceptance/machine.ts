/**
 * A machine of its own for a walk through the documentation: the real one with a fresh /opt, /var/backups and home, a copy
 * of /etc, and a network that reaches nothing. Namespaces, which end with the test; they need root.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Ran, startProgram } from "../support/machine/executables.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";

export const canHaveMachine: boolean =
  process.getuid?.() === 0 &&
  ["unshare", "nsenter", "setpriv", "ip"].every((name) => Bun.which(name, { PATH: path() }));

export interface Machine {
  /** Runs a shell script in it, in the project's folder. */
  shell(script: string, env?: Record<string, string>): Promise<Ran>;
  /** Starts a program in it; the lines of its stdout, one after the other. It ends with the machine. */
  serve(argv: string[]): AsyncIterator<string>;
  close(): Promise<void>;
}

/** `hosts`: the names of each loopback address. */
export async function openMachine(hosts: Readonly<Record<string, readonly string[]>>): Promise<Machine> {
  const home = tempDir("machine");
  for (const folder of ["etc", "bin", "tmp"]) mkdirSync(join(home, folder));
  chmodSync(home, 0o755);
  const lines = Object.entries(hosts).map(([address, names]) => `${address} ${names.join(" ")}\n`);
  writeFileSync(join(home, "hosts"), `127.0.0.1 localhost\n::1 localhost\n${lines.join("")}`);
  // not every machine has it; and root needs no password of anybody
  writeFileSync(join(home, "bin/sudo"), sudo, { mode: 0o755 });
  const flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
  const child = Bun.spawn(["setpriv", "--pdeathsig", "KILL", "unshare", ...flags, "sh", "-euc", keeper, home], {
    env: { PATH: path() },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const inner = await until("the machine is there", async () => {
    if (child.exitCode !== null) throw new Error(`unshare: ${await child.stderr.text()}`);
    const [pid = ""] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ");
    return pid !== "" && (await Bun.file(join(home, "ready")).exists()) ? pid : "";
  });
  const into = [
    "nsenter",
    "--target",
    inner,
    "--mount",
    "--net",
    "--pid",
    "env",
    "-C",
    resolve(import.meta.dir, "../.."),
  ];
  const base = { PATH: `${join(home, "bin")}:${path()}`, HOME: "/root" };
  return {
    shell: (script, env = {}) =>
      startProgram([...into, "sh", "-euc", script], { env: { ...base, ...env }, limitMs: 560_000 }).done,
    async *serve(argv) {
      // its temporary files end with the machine, as it does: nobody asks it to tidy up
      const env = { ...base, TMPDIR: join(home, "tmp") };
      const server = Bun.spawn([...into, ...argv], { env, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
      const decoder = new TextDecoder();
      let rest = "";
      for await (const chunk of server.stdout) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        yield* lines;
      }
    },
    async close() {
      child.kill("SIGKILL");
      await child.exited;
      removeDir(home);
    },
  };
}

function path(): string {
  return `${process.env.PATH}:/usr/sbin:/sbin`;
}

/** What runs first, and stays. */
const keeper = `
ip link set lo up
cp -a /etc/. "$0/etc"
mount --bind "$0/etc" /etc
rm -f /etc/hosts
cp "$0/hosts" /etc/hosts
mkdir -p /etc/cron.d /etc/systemd/system
for dir in /opt /var/backups; do mount -t tmpfs -o mode=755 tmpfs $dir; done
: > "$0/ready"
exec sleep infinity`;

const sudo = `#!/bin/sh
[ "$1" = -u ] || exec "$@"
user=$2
shift 2
exec setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
`;
