/** Keeps answers for `ms`: a run over many databases asks once, and `schedule`, which runs for months, notices what has changed. */
export function memory<T>(ms: number): (key: string, ask: () => Promise<T>) => Promise<T> {
  const answers = new Map<string, { at: number; answer: Promise<T> }>();
  return (key, ask) => {
    const known = answers.get(key);
    if (known && Date.now() - known.at < ms) return known.answer;
    const answer = ask();
    answers.set(key, { at: Date.now(), answer });
    // one that fails is not kept
    answer.catch(() => answers.delete(key));
    return answer;
  };
}
