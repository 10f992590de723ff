/**
 * Builds the image and runs containers: with Docker where an engine answers, else with podman, as root, without a
 * registry, in namespaces of the test's own that leave the machine's mounts and processes alone and end with the test.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { debianMirror } from "./debian.ts";
import { containerEngine } from "./engine.ts";
import { type Ran, startProgram } from "../machine/executables.ts";
import { until } from "../machine/until.ts";

const root = resolve(import.meta.dir, "../../..");
/** Images and their layers stay here, so that a second run is quick. */
const cache = join(root, ".cache/containers");

/** Which engine there is. */
export const engine = containerEngine();

export interface Containers {
  /** Runs the engine's client: the words of `docker`, which are those of `podman`. */
  cli(args: string[], options?: { stdin?: string }): Promise<Ran>;
  /** The same; throws when it fails. Returns what it wrote to stdout. */
  must(args: string[], options?: { stdin?: string }): Promise<string>;
  /** Runs any program where the containers run. */
  inside(argv: string[], env?: Record<string, string>): Promise<Ran>;
  /** Ends every container that was started here. */
  close(): Promise<void>;
}

/** Gives access to containers; with `network: "own"`, to a network that reaches nothing outside. */
export async function openContainers(network: "host" | "own" = "host"): Promise<Containers> {
  if (engine === "docker") return dockerContainers();
  mkdirSync(join(cache, "run"), { recursive: true });
  mkdirSync(join(cache, "networks"), { recursive: true });
  configurePodman();
  const space = await openNamespaces(network);
  const inside: Containers["inside"] = (argv, env = {}) => space.run(argv, { ...podmanEnv, ...env });
  return withMust({
    cli: (args, options) => space.run(["podman", ...args], podmanEnv, options?.stdin),
    inside,
    close: space.close,
  });
}

function dockerContainers(): Containers {
  const { HOME = "/", DOCKER_HOST } = process.env;
  const env = { HOME, ...(DOCKER_HOST && { DOCKER_HOST }) };
  const run = (argv: string[], more: Record<string, string> = {}, stdin?: string) =>
    startProgram(argv, { env: { ...env, ...more }, cwd: root, stdin, limitMs }).done;
  return withMust({
    cli: (args, options) => run(["docker", ...args], {}, options?.stdin),
    inside: run,
    close: async () => {},
  });
}

function withMust(containers: Omit<Containers, "must">): Containers {
  return {
    ...containers,
    async must(args, options) {
      const ran = await containers.cli(args, options);
      if (ran.status !== 0) throw new Error(`${engine} ${args.join(" ")}: ${ran.stderr}`);
      return ran.stdout.trim();
    },
  };
}

/** Where podman listens for Docker's clients, once `podman system service` runs. */
export const podmanSocket = `unix://${cache}/run/podman.sock`;

/** A build takes its time. */
const limitMs = 600_000;

const podmanEnv = {
  CONTAINERS_CONF: join(cache, "containers.conf"),
  CONTAINERS_STORAGE_CONF: join(cache, "storage.conf"),
  CONTAINERS_REGISTRIES_CONF: join(cache, "registries.conf"),
  BUILDAH_ISOLATION: "chroot",
  BUILDAH_FORMAT: "docker",
  // without systemd nothing fires the health checks: a test runs them
  DISABLE_HC_SYSTEMD: "true",
};

/** Neither cgroups nor a registry, and all state in the cache. */
function configurePodman(): void {
  const config = `
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "${cache}/run/libpod"
[network]
network_backend = "netavark"
network_config_dir = "${cache}/networks"
`;
  const storage = `[storage]\ndriver = "overlay"\ngraphroot = "${cache}/graph"\nrunroot = "${cache}/run"\n`;
  writeFileSync(podmanEnv.CONTAINERS_CONF, config);
  writeFileSync(podmanEnv.CONTAINERS_STORAGE_CONF, storage);
  writeFileSync(podmanEnv.CONTAINERS_REGISTRIES_CONF, "unqualified-search-registries = []\n");
}

/** What runs first in the namespaces, and stays. */
const keeper = `
# crun refuses "hybrid" cgroups (version 1 with a version 2 mount that has controllers)
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
# a fresh run folder: to podman each entry is a boot, so what was killed leaves no "running" container
mount -t tmpfs tmpfs "$0" && mount -t tmpfs tmpfs /dev/shm
if [ "$1" = own ]; then ip link set lo up; fi
: > "$0/ready"
exec sleep infinity`;

/** Mount and process namespaces (and a network) that end with this process. */
async function openNamespaces(network: "host" | "own") {
  const flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
  const own = network === "own" ? ["--net"] : [];
  const argv = ["setpriv", "--pdeathsig", "KILL", "unshare", ...flags, ...own, "sh", "-c", keeper, `${cache}/run`];
  const child = Bun.spawn([...argv, network], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const inner = await until("the namespaces are there", async () => {
    if (child.exitCode !== null) throw new Error(`unshare: ${await child.stderr.text()}`);
    const [pid = ""] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ");
    return pid !== "" && existsSync(`/proc/${pid}/root${cache}/run/ready`) ? pid : "";
  });
  const into = ["--target", inner, "--mount", "--pid", ...(network === "own" ? ["--net"] : [])];
  return {
    run: (words: string[], env: Record<string, string>, stdin?: string) =>
      startProgram(["nsenter", ...into, "env", "-C", root, ...words], {
        env: { HOME: "/root", ...env },
        cwd: root,
        stdin,
        limitMs,
      }).done,
    async close() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Name of the project's image after `buildImage`. */
export const imageName = "localhost/backup_scripts:test";
/** Bun on Debian, as `buildImage` made it for podman. */
export const bunImage = "localhost/bun:slim";
const debianImage = "localhost/debian:trixie-slim";

/** Builds the project's image and returns its name. */
export async function buildImage({ must }: Containers): Promise<string> {
  const standIns = engine === "podman" ? await makeStandIns(must) : [];
  await must(["build", "--network", "host", ...standIns, "-t", imageName, "."]);
  return imageName;
}

/** Debian from the machine's own mirror and Bun from node_modules, in place of the published images. */
async function makeStandIns(must: Containers["must"]): Promise<string[]> {
  const tarball = join(cache, "debian.tar");
  if (!existsSync(tarball)) bootstrap(tarball);
  // importing it again would make another image of it, and every layer on it anew
  const known = await must(["images", "-q", debianImage]);
  if (known === "") await must(["import", "-q", "--change", 'CMD ["bash"]', tarball, debianImage]);
  const dockerfile = `
FROM ${debianImage}
COPY --from=ca ca-certificates.crt /etc/ssl/host.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/host.crt
COPY --from=bun ${basename(process.execPath)} /usr/local/bin/bun
`;
  const contexts = { ca: "/etc/ssl/certs", bun: join(process.execPath, "..") };
  await buildFrom(must, bunImage, dockerfile, contexts);
  return ["--pull=never", "--build-arg", `DEBIAN_IMAGE=${debianImage}`, "--build-arg", `BUN_IMAGE=${bunImage}`];
}

/** Builds an image from a Dockerfile's text; what it copies from are folders by name. */
export async function buildFrom(
  must: Containers["must"],
  name: string,
  dockerfile: string,
  folders: Record<string, string>,
): Promise<void> {
  const empty = join(cache, "empty");
  mkdirSync(empty, { recursive: true });
  const contexts = Object.entries(folders).flatMap(([key, dir]) => ["--build-context", `${key}=${dir}`]);
  const options = ["--quiet", "--pull=never", "--network", "host", "-t", name, ...contexts, "-f", "-", empty];
  await must(["build", ...options], { stdin: dockerfile });
}

/** Docker Compose: the plugin of Debian's newer suite, a program that also runs by itself. Returns its path. */
export async function composeProgram(must: Containers["must"]): Promise<string> {
  const program = join(cache, "docker-compose");
  if (existsSync(program)) return program;
  const unpack =
    "cd /tmp && apt-get update && apt-get download docker-compose && dpkg -x docker-compose_*.deb /compose";
  await buildFrom(must, "localhost/compose", `FROM ${debianImage}\nRUN ${unpack}\n`, {});
  const copy = `${program}.new`;
  const id = await must(["create", "--pull=never", "localhost/compose"]);
  await must(["cp", `${id}:/compose/usr/libexec/docker/cli-plugins/docker-compose`, copy]);
  await must(["rm", id]);
  renameSync(copy, program);
  return program;
}

function bootstrap(tarball: string): void {
  const slim = ["man", "info", "locale", "doc"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  const options = ["--quiet", "--mode=root", "--format=tar", "--variant=minbase", ...slim];
  const child = Bun.spawnSync(["mmdebstrap", ...options, "trixie", `${tarball}.new`, debianMirror()]);
  if (!child.success) throw new Error(`mmdebstrap: ${child.stderr.toString()}`);
  renameSync(`${tarball}.new`, tarball);
}
