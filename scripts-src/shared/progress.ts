/** A line on the terminal that shows how far a run is; nothing at all where there is no terminal. */
import { SingleBar } from "cli-progress";
import prettyBytes from "pretty-bytes";
import { onLogLine } from "./log.ts";

export interface Progress {
  /** Adds bytes that are done. */
  add: (bytes: number) => void;
  /** Takes the line away. */
  stop: () => void;
}

export const bytesText = (bytes: number): string => prettyBytes(bytes, { binary: true });

/** h:mm:ss or m:ss of a time in ms. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * Shows `label`, bytes, rate, elapsed time and the share of `total`. With `estimated`, the total is a guess:
 * the share is marked as such and never reaches 100 %.
 */
export function showProgress(label: string, total: number, { estimated = false } = {}): Progress {
  if (!process.stderr.isTTY) return { add() {}, stop() {} };
  const started = Date.now();
  let done = 0;
  const bar = new SingleBar({
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    linewrap: false,
    fps: 5,
    gracefulExit: false,
    format: () => {
      const share = total > 0 ? Math.min(done / total, estimated ? 0.99 : 1) : 0;
      const width = Math.max(10, Math.min(30, (process.stderr.columns ?? 80) - 60));
      const filled = Math.round(share * width);
      const drawn = `${"█".repeat(filled)}${"░".repeat(width - filled)}`;
      const elapsed = Date.now() - started;
      const rate = bytesText((done / Math.max(elapsed, 1)) * 1000);
      const percent = `${estimated ? "~" : ""}${Math.floor(share * 100)} %`;
      const left = share > 0.01 ? `, ${clock((elapsed / share) * (1 - share))} left` : "";
      return `${label} ${drawn} ${percent}  ${bytesText(done)}  ${rate}/s  ${clock(elapsed)}${left}`;
    },
  });
  bar.start(Math.max(total, 1), 0);
  // a log line takes the place of the progress line, which comes back below it
  onLogLine(() => process.stderr.write("\r\u001b[2K"));
  return {
    add(bytes) {
      done += bytes;
      bar.update(Math.min(done, Math.max(total, 1)));
    },
    stop() {
      onLogLine(() => {});
      bar.stop();
    },
  };
}
