/** How long a person waits for a script that has little to do. */
import { join } from "node:path";
import { installScripts } from "../support/machine/executables.ts";
import { measure, table } from "./measure.ts";

export async function benchStart(rounds: number): Promise<string> {
  const scripts = installScripts({ DB_NAME: "app" });
  const wrong = installScripts({ DB_NAME: "app", DB_PORT: "none" });
  const measured = await measure(
    [
      { name: "help", command: [join(scripts.dir, "help")], wanted: [{ atMost: 0.03 }] },
      { name: "backup --help", command: [join(scripts.dir, "backup"), "--help"] },
      {
        name: "backup, a refused setting",
        command: [join(wrong.dir, "backup")],
        status: 2,
        wanted: [{ atMost: 0.04 }],
      },
      { name: "sync, a refused setting", command: [join(wrong.dir, "sync")], status: 2, wanted: [{ atMost: 0.04 }] },
    ],
    rounds,
  );
  return table("Start", measured, "help");
}
