/** Keeps answers for `ms`: a run over many databases asks once, and `schedule`, which runs for months, notices what has changed. */
export class Memory<T> {
  readonly #ms: number;
  readonly #answers = new Map<string, { at: number; answer: Promise<T> }>();

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** The answer to `key`, asked for when none is known. One that fails is not kept. */
  async get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(key);
    if (known && Date.now() - known.at < this.#ms) return known.answer;
    const answer = ask();
    this.#answers.set(key, { at: Date.now(), answer });
    answer.catch(() => this.#answers.delete(key));
    return answer;
  }
}
