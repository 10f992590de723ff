import type { InferredOptionTypes, Options } from "yargs";
import type { Logger } from "../base/log.ts";
import type { Way } from "../notify/notify.ts";
import type { Facts, LastGood, Outcome } from "../notify/outcome.ts";
import type { Need } from "../settings/env-rules.ts";
import type { Settings } from "../settings/settings.ts";

/** One executable: its usage, its needs, its story. */
export interface Script<Options extends object = object> {
  name: string;
  /** One line: what it is for. */
  summary: string;
  /** The words behind the name: `[FILE] [--yes]`. */
  usage: string;
  /** Its argument, under its name; it can be left out. */
  argument?: Declared;
  /** Command lines with what they do. */
  examples: readonly (readonly [command: string, meaning: string])[];
  options: Declared;
  /** Options that contradict each other, as a sentence: wrong usage. */
  contradiction?(options: Options): string | undefined;
  needs(options: Options, settings: Settings): readonly Need[];
  /** What it has to say without any settings, whatever is wrong with them (help); undefined: the settings are read, and it acts. */
  answer?(options: Options, home: string): string | undefined | Promise<string>;
  /** Settings that contradict what was asked for, each as a sentence; empty when all is well. */
  conflicts?(options: Options, settings: Settings): string[];
  /** `false`: no notice is sent, no health check pinged (a dry run; the scheduler, whose runs report themselves). */
  reports?(options: Options): boolean;
  /** `true` where `reports` is `false`: its own failure is reported all the same, but once until it succeeds or fails otherwise. */
  reportsOnce?(options: Options): boolean;
  /** Finds the newest good backup, for the notice of a failure; takes a few seconds at most. */
  lastGood?(job: Job): Promise<LastGood | undefined>;
  /** What else is written after a run that reports itself, when its notices are sent. Does not throw. */
  afterwards?(job: Job, outcome: Outcome): Promise<void>;
  /** Seconds that a signal leaves it between `stopRequested` and `signal`; absent: none. */
  graceSeconds?(options: Options, settings: Settings): number;
  /** Does the work. What it returns is the last word; what it throws is the failure. */
  act(job: Job<Options>): Promise<Result>;
}

/** What a script's `act` gets. */
export interface Job<Options extends object = object> {
  script: string;
  options: Options;
  settings: Settings;
  /** Folder of the executables: relative paths of settings start here. */
  home: string;
  log: Logger;
  /**
   * Logs a warning that makes the outcome one "with warnings": something new, or getting worse. What is so for good is a line
   * of the log alone (`log.warn`).
   */
  warn: (message: string) => void;
  /** Takes the notices that could not be sent, to try them again; absent: they are lost. */
  sendLater?: (undelivered: readonly Way[]) => void;
  /** Aborted by the first signal: begin nothing new; its reason is a `Stopped`. */
  stopRequested: AbortSignal;
  /** Aborted when the run must stop, at once or at the end of its grace period; its reason is a `Stopped`. */
  signal: AbortSignal;
  /** Filled as the run learns them. */
  facts: Facts;
}

export interface Result {
  /** One line: what was done. Logged, mailed. */
  summary: string;
  /** The result alone, for stdout: a path, a plan. */
  output?: string;
}

/** Options as scripts declare them: once, as yargs' data. The type of what `act` gets is derived from it. */
export type Declared = Readonly<Record<string, Options>>;

type Camel<Name> = Name extends `${infer Word}-${infer Rest}` ? `${Word}${Capitalize<Camel<Rest> & string>}` : Name;

/** What `act` gets: the value of `--from-s3` as `fromS3`. */
export type OptionsOf<D extends Declared> = {
  [Name in keyof InferredOptionTypes<D> as Camel<Name> & string]: InferredOptionTypes<D>[Name];
};

/** An option that is given or not. */
export const flag = (describe: string) => ({ type: "boolean", default: false, describe }) as const;

/** An option with a value, or an argument. */
export const value = (describe: string) => ({ type: "string", requiresArg: true, describe }) as const;
