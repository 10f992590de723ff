/** Several transfers at once, within a limit of memory. */

/**
 * Does `work` for every item, at most `atOnce` at a time and as long as their costs (bytes) together stay within `budget`;
 * a single item may cost more. After a failure nothing new begins; what runs ends, then the first failure is thrown.
 */
export async function together<T>(
  items: readonly T[],
  { atOnce, budget, cost }: { atOnce: number; budget: number; cost: (item: T) => number },
  work: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let spent = 0;
  let failure: { error: unknown } | undefined;
  const isFull = (price: number) => running.size > 0 && (running.size >= atOnce || spent + price > budget);
  for (const item of items) {
    const price = cost(item);
    while (isFull(price)) await Promise.race(running);
    if (failure) break;
    spent += price;
    const one = work(item)
      .catch((error: unknown) => void (failure ??= { error }))
      .finally(() => {
        spent -= price;
        running.delete(one);
      });
    running.add(one);
  }
  await Promise.all(running);
  if (failure) throw failure.error;
}

/** What `work` returns for each item, in their order; 32 at a time. */
export async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  await together([...items.entries()], { atOnce: 32, budget: Infinity, cost: () => 0 }, async ([at, item]) => {
    results[at] = await work(item);
  });
  return results;
}
