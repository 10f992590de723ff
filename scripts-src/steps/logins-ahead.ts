/** The login to the next database of a run, while the present one is dumped: for a small one it takes a quarter of the time. */
import type { Connected, Database } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import type { Job } from "../run/script.ts";
import { type ChosenDatabase, inDatabase } from "./several-databases.ts";

/** What the server said earlier (ms) than that is asked again. */
const fresh = 5_000;

interface Ahead {
  name: string;
  at: number;
  /** Undefined when the login failed. */
  connected: Promise<Connected | undefined>;
}

export class LoginsAhead implements Disposable {
  readonly #job: Job;
  readonly #chosen: readonly ChosenDatabase[];
  readonly #stop = new AbortController();
  #ahead: Ahead | undefined;

  /** `chosen` in the order in which they are connected to. */
  constructor(job: Job, chosen: readonly ChosenDatabase[]) {
    this.#job = job;
    this.#chosen = chosen;
  }

  /** Logs in, or has done so, and begins with the database after it. What failed ahead of its turn is tried anew. Throws `Failure`. */
  async connect(database: Database): Promise<Connected> {
    const ahead = this.#ahead;
    const isFresh = ahead?.name === database.name && Date.now() - ahead.at < fresh;
    const connected = (isFresh && (await ahead.connected)) || (await database.connect());
    this.#ahead = connected.server.takesTwoSessions ? this.#begin(database.name) : undefined;
    return connected;
  }

  #begin(after: string): Ahead | undefined {
    const next = this.#chosen[this.#chosen.findIndex(({ name }) => name === after) + 1];
    if (!next || next.refuses !== undefined) return undefined;
    const { name } = next;
    const { settings, log, signal } = inDatabase(this.#job, name);
    const database = openDatabase(settings, { log, signal: AbortSignal.any([signal, this.#stop.signal]) });
    return { name, at: Date.now(), connected: database.connect({ once: true }).catch(() => undefined) };
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
