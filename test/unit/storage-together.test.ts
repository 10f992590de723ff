/** Several transfers at once. */
import { expect, test } from "bun:test";
import { together } from "../../scripts-src/storage/together.ts";

test("stays within number and budget, and does everything once", async () => {
  const costs = [5, 1, 1, 30, 1, 1, 1, 9, 2, 2, 8, 3];
  let [running, spent, most] = [0, 0, 0];
  const done: number[] = [];
  await together([...costs.entries()], { atOnce: 3, budget: 10, cost: ([, cost]) => cost }, async ([index, cost]) => {
    running++;
    spent += cost;
    most = Math.max(most, running);
    expect(running).toBeLessThanOrEqual(3);
    // one that costs more than all may go, but alone
    expect(spent <= 10 || running === 1).toBe(true);
    await Bun.sleep((index % 4) + 1);
    running--;
    spent -= cost;
    done.push(index);
  });
  expect(most).toBe(3);
  expect(done.toSorted((a, b) => a - b)).toEqual([...costs.keys()]);
});

test("after a failure nothing new begins, and what runs ends before it is told", async () => {
  const ended: number[] = [];
  const working = together([1, 2, 3, 4, 5], { atOnce: 2, budget: 9, cost: () => 1 }, async (item) => {
    await Bun.sleep(item * 3);
    ended.push(item);
    if (item === 1) throw new Error("the first one");
    if (item === 2) throw new Error("another");
  });
  await expect(working).rejects.toThrow("the first one");
  expect(ended).toEqual([1, 2]);
});
