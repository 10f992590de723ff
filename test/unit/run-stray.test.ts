import { expect, test } from "bun:test";
import { resolve } from "node:path";

/** A scheduler with one run in which an error is thrown that nobody awaits. */
const program = `
const { attempt } = await import(${JSON.stringify(resolve(import.meta.dir, "../../scripts-src/run/attempt.ts"))});
const { configureLog } = await import(${JSON.stringify(resolve(import.meta.dir, "../../scripts-src/base/log.ts"))});
const settings = { LOG_LEVEL: "info", LOG_FORMAT: "text", SITE_NAME: "test", EMAIL_NOTIFY_MODE: "NEVER" };
const signal = new AbortController().signal;
const job = { script: "x", options: {}, settings, home: "/", log: configureLog("x", settings), signal, stopRequested: signal, facts: {} };
const stray = () => void Promise.reject(new Error("nobody awaits this"));
const run = { name: "run", act: () => (setTimeout(stray, 10), new Promise(() => {})) };
const scheduler = {
  name: "scheduler",
  reports: () => false,
  async act() {
    const { status, summary } = await attempt(run, job);
    await Bun.sleep(20);
    return { summary: "", output: JSON.stringify({ status, summary }) };
  },
};
process.exit((await attempt(scheduler, job)).exitStatus);
`;

test("an error that nobody awaited ends the run, and not the scheduler around it", async () => {
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "pipe", cwd: "/" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(await child.exited, err).toBe(0);
  expect(JSON.parse(out)).toEqual({ status: "failure", summary: "nobody awaits this" });
});
