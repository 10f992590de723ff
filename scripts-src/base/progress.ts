/** A line on the terminal that shows how far a run is; nothing at all where there is no terminal. */
import { writeSync } from "node:fs";
import prettyMilliseconds from "pretty-ms";
import { onLogLine } from "./log.ts";
import { bytesText, visibleName } from "./text.ts";

/** The line goes away when this is disposed of. */
interface Progress extends Disposable {
  /** Adds bytes that are done. */
  add: (bytes: number) => void;
}

/** h:mm:ss or m:ss of a time in ms. */
export const clock = (ms: number): string => prettyMilliseconds(ms, { colonNotation: true, secondsDecimalDigits: 0 });

const redrawMs = 200;
const clearLine = "\r\u001b[2K";

/**
 * Shows `label`, bytes, rate, elapsed time and the share of `total`. With `estimated`, the total is a guess: the share is
 * marked as such and never reaches 100 %. Written synchronously like the log, so that the two never mix (cli-progress
 * writes through Bun's buffered stream and swallowed log lines).
 */
export function showProgress(label: string, total: number, { estimated = false } = {}): Progress {
  if (!process.stderr.isTTY) return { add() {}, [Symbol.dispose]() {} };
  const started = Date.now();
  let done = 0;
  const draw = () => {
    const columns = process.stderr.columns || 80;
    const line = progressLine({ label, done, total, estimated, elapsedMs: Date.now() - started, columns });
    show(clearLine + line.slice(0, columns - 1));
  };
  const timer = setInterval(draw, redrawMs);
  // a log line takes the place of the progress line, which comes back below it
  onLogLine(() => show(clearLine));
  return {
    add(bytes) {
      done += bytes;
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      onLogLine(() => {});
      show(clearLine);
    },
  };
}

/** `backup ██████░░░░ ~19 %  95.8 MiB  41.4 MiB/s  0:02, 0:09 left` */
export function progressLine(state: {
  label: string;
  done: number;
  total: number;
  estimated: boolean;
  elapsedMs: number;
  columns: number;
}): string {
  const { label, done, total, estimated, elapsedMs, columns } = state;
  const share = total > 0 ? Math.min(done / total, estimated ? 0.99 : 1) : 0;
  const width = Math.max(10, Math.min(30, columns - 60));
  const filled = Math.round(share * width);
  const rate = bytesText((done / Math.max(elapsedMs, 1)) * 1000);
  const percent = `${estimated ? "~" : ""}${Math.floor(share * 100)} %`;
  const left = share > 0.01 && share < 1 ? `, ${clock((elapsedMs / share) * (1 - share))} left` : "";
  const bar = "█".repeat(filled) + "░".repeat(width - filled);
  return `${visibleName(label)} ${bar} ${percent}  ${bytesText(done)}  ${rate}/s  ${clock(elapsedMs)}${left}`;
}

function show(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // a terminal that cannot take it now gets the next one
  }
}
