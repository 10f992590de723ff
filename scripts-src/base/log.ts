/** The log: stderr, one line of text or one JSON object a line, free of secrets. */
import { writeSync } from "node:fs";
import { configureSync, getLogger, type Logger, type LogLevel, type LogRecord } from "@logtape/logtape";
import { codeOf } from "./errors.ts";
import { redact } from "./secrets.ts";
import { painterFor, unseen, visible } from "./text.ts";

export type { Logger };

const category = "backup_scripts";
const tailLength = 30;
const tail: string[] = [];
let beforeLine: () => void = () => {};

/** How much is logged, and in what form. */
interface LogSettings {
  LOG_LEVEL: "debug" | "info" | "warn" | "error";
  LOG_FORMAT: "text" | "json";
}

/** The last lines of the log, for notices. */
export const logTail = (): readonly string[] => tail;

/** Called before a line is written: the progress line makes room. */
export function onLogLine(callback: () => void): void {
  beforeLine = callback;
}

/** Sets level, format and the script's name; may be called again when the settings have been read. */
export function configureLog(script: string, settings: LogSettings): Logger {
  const format = settings.LOG_FORMAT === "json" ? jsonLine : textLine;
  configureSync({
    reset: true,
    sinks: { stderr: (record) => emit(format(script, record)) },
    loggers: [
      {
        category,
        sinks: ["stderr"],
        lowestLevel: settings.LOG_LEVEL === "warn" ? "warning" : settings.LOG_LEVEL,
      },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
    ],
  });
  return scriptLog();
}

/** The log that was configured last. */
export const scriptLog = (): Logger => getLogger(category);

function emit(line: string): void {
  beforeLine();
  tail.push(line);
  if (tail.length > tailLength) tail.shift();
  writeAll(`${coloured(line)}\n`);
}

/** On a terminal, the level of a line of text stands out. */
const coloured = (line: string): string =>
  line.replace(/(?<=^\S+ )(?:WARN|ERROR)(?= )/, (level) =>
    painterFor(process.stderr)(level === "ERROR" ? "red" : "yellow", level),
  );

/** stderr may be a full pipe that does not block: try again rather than lose a line. */
function writeAll(text: string): void {
  let rest = Buffer.from(text);
  for (let tries = 0; rest.length > 0 && tries < 200; tries++) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") return;
      Bun.sleepSync(5);
    }
  }
}

const levelName = (level: LogLevel) => (level === "warning" ? "warn" : level);
/** The text as it was given: LogTape's own `message` would fill in `{…}`, and foreign texts hold braces. */
const messageOf = (record: LogRecord) =>
  typeof record.rawMessage === "string" ? record.rawMessage : record.message.map(String).join("");

function textLine(script: string, record: LogRecord): string {
  const exact = new Date(record.timestamp).toISOString();
  const time = process.stderr.isTTY ? exact.replace(/\.\d+/, "") : exact;
  const { stack } = record.properties;
  const words = [messageOf(record), ...(typeof stack === "string" ? [stack] : [])].join("\n");
  const lines = visible(redact(words)).split("\n");
  return `${time} ${levelName(record.level).toUpperCase()} ${script}: ${lines.join("\n    ")}`;
}

/** Stable keys: time, level, script, message; then what the line carries. */
function jsonLine(script: string, record: LogRecord): string {
  const line = {
    time: new Date(record.timestamp).toISOString(),
    level: levelName(record.level),
    script,
    message: messageOf(record),
    ...record.properties,
  };
  const text = JSON.stringify(line, (_, value: unknown) => (typeof value === "string" ? redact(value) : value));
  // what JSON would let pass, in its own coding: exact for a program, harmless on a terminal
  return text.replace(unseen, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
