/** How signals stop a run. */
import { constants } from "node:os";
import { cleanUp } from "../base/cleanup.ts";
import { Stopped } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Job } from "./script.ts";

/**
 * The first signal stops the run in order, or lets it end by itself within `graceSeconds`; then the next signal stops it.
 * One more ends the process at once, but partial files are still removed.
 */
export function listenToSignals(log: Logger, graceSeconds: number): Pick<Job, "stopRequested" | "signal"> {
  const [ask, stop] = [new AbortController(), new AbortController()];
  const onSignal = (reason: Stopped) => {
    if (stop.signal.aborted) process.exit(reason.status);
    if (graceSeconds > 0 && !ask.signal.aborted) {
      log.warn(
        `${reason.signalName}: no new run starts; a run that is active has ${graceSeconds} s to finish; send the signal again to stop it now`,
      );
      setTimeout(stopNow, graceSeconds * 1000, reason, `not done after ${graceSeconds} s`).unref();
      ask.abort(reason);
    } else stopNow(reason, reason.signalName);
  };
  const stopNow = (reason: Stopped, why: string) => {
    log.warn(`${why}: stopping; send the signal again to end at once`);
    ask.abort(reason);
    stop.abort(reason);
  };
  for (const name of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => onSignal(new Stopped(name, constants.signals[name])));
  }
  process.on("exit", cleanUp);
  return { stopRequested: ask.signal, signal: stop.signal };
}
