/**
 * `bun test/faults/day-of-ticks.ts FOLDER TICKS`: the scheduler's own code through so many ticks, one a second, by a clock
 * that does not wait. Prints what its heap held after the first tenth and holds at the end, as JSON.
 */
import { heapStats } from "bun:jsc";
import { join } from "node:path";
import { type Clock, handlersFor, keepTime } from "../../scripts-src/scheduling/keep-time.ts";
import { readTicks } from "../../scripts-src/scheduling/ticks.ts";
import { configureLog } from "../../scripts-src/base/log.ts";
import { pause } from "../../scripts-src/base/retry.ts";
import { attempt } from "../../scripts-src/run/attempt.ts";
import type { Job, Script } from "../../scripts-src/run/script.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { stateKeeper } from "../../scripts-src/scheduling/health.ts";

/** How often it ran, and the objects that the collector found. */
export interface Day {
  runs: number;
  before: number;
  after: number;
}

const [folder = "", count = ""] = process.argv.slice(2);
const start = new Date("2026-03-01T00:00:00Z");
const settings = settingsFrom({ SITE_NAME: "test", BACKUP_INTERVAL: "* * * * * *", LOG_FORMAT: "json" });
const stop = new AbortController();
const job: Job = {
  script: "schedule",
  options: {},
  settings,
  home: folder,
  log: configureLog("schedule", settings),
  signal: new AbortController().signal,
  stopRequested: stop.signal,
  warn() {},
  facts: {},
};

let now = start.getTime();
const clock: Clock = {
  now: () => new Date(now),
  async wait(ms, signal) {
    now += ms;
    await pause(0, signal);
  },
};

let runs = 0;
let before = 0;
function objects(): number {
  Bun.gc(true);
  return heapStats().objectCount;
}

/** In the place of a backup; every third one fails. */
const script: Script = {
  name: "backup",
  summary: "",
  usage: "",
  examples: [],
  options: {},
  needs: () => [],
  reports: () => false,
  async act({ signal }) {
    await pause(0, signal);
    if (runs % 3 === 0) throw new Error("it failed");
    return { summary: "done" };
  },
};

async function work() {
  runs++;
  if (runs === Number(count) / 10) before = objects();
  if (runs === Number(count)) stop.abort(new Error("enough"));
  return attempt(script, { ...job, facts: {}, signal: AbortSignal.any([job.signal]) });
}

const ticks = readTicks(settings);
const path = join(folder, "state.json");
const state = { since: start };
await keepTime(
  {
    ticks,
    start,
    handlers: handlersFor(job, ticks, { state, save: stateKeeper(path, state, job.log), work }),
  },
  stop.signal,
  clock,
);
const day: Day = { runs, before, after: objects() };
console.log(JSON.stringify(day));
process.exit(0);
