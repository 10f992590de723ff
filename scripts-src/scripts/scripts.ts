import type { Script } from "../run/script.ts";

/** Every script, in the order in which a person meets them; loaded on demand, so that none waits for what it does not need. */
export const scripts: Readonly<Record<string, () => Promise<Script>>> = {
  backup: async () => (await import("./backup.ts")).backup,
  restore: async () => (await import("./restore.ts")).restore,
  verify: async () => (await import("./verify.ts")).verify,
  list: async () => (await import("./list.ts")).list,
  sync: async () => (await import("./sync.ts")).sync,
  schedule: async () => (await import("./schedule.ts")).schedule,
  help: async () => (await import("./help.ts")).help,
};
