/** What runs containers on this machine. */
const needs = ["podman", "crun", "mmdebstrap", "iptables", "ip", "unshare", "nsenter", "setpriv"];
const path = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Docker where an engine answers; else podman, as root on Debian and its kin, with all that the tests do with it. */
export function containerEngine(): "docker" | "podman" | undefined {
  // elsewhere the containers live in a virtual machine, and do not reach the test's servers
  if (process.platform !== "linux") return undefined;
  if (Bun.which("docker") && Bun.spawnSync(["docker", "info"]).success) return "docker";
  return canPodman() && missingForPodman().length === 0 ? "podman" : undefined;
}

/** The programs that podman's tests lack. */
export const missingForPodman = (): string[] => needs.filter((name) => !Bun.which(name, { PATH: path }));

/** Without root, podman would need more of the machine than a test may change. */
export const canPodman = (): boolean => process.getuid?.() === 0 && Bun.which("apt-get") !== null;

/** Debian's packages that bring those programs, and podman's network. */
export const podmanPackages = ["podman", "crun", "netavark", "aardvark-dns", "mmdebstrap", "iptables", "iproute2"];
