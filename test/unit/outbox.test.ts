/** N9: notices that could not be sent are tried again, by the scheduler. */
import { expect, test } from "bun:test";
import { configureLog } from "../../scripts-src/base/log.ts";
import { Undelivered } from "../../scripts-src/notify/undelivered.ts";
import { until } from "../support/machine/until.ts";
import { openOutbox } from "../../scripts-src/notify/notify.ts";

const log = configureLog("test", { LOG_LEVEL: "error", LOG_FORMAT: "text" });

/** A way that fails so often, and counts how often it was tried. */
function way(failures: number, again: "soon" | "later" | "never") {
  const state = { tried: 0 };
  const send = () => {
    if (state.tried++ < failures) return Promise.reject(new Undelivered("not now", { again }));
    return Promise.resolve("sent");
  };
  return { state, send };
}

test("N9: each is tried until it is sent, until trying makes no sense, or so many times", async () => {
  const outbox = openOutbox(log, new AbortController().signal, [1, 2], 5);
  const sent = way(3, "soon");
  const hopeless = way(9, "never");
  const long = way(99, "later");
  outbox([sent.send, hopeless.send, long.send]);
  outbox([]);
  await until("the last one has been given up", () => long.state.tried === 5);
  await Bun.sleep(20);
  expect([sent.state.tried, hopeless.state.tried, long.state.tried]).toEqual([4, 1, 5]);
});

test("N9: a scheduler that ends does not wait for them", async () => {
  const stop = new AbortController();
  const late = way(0, "soon");
  openOutbox(log, stop.signal, [600_000])([late.send]);
  stop.abort(new Error("stopped"));
  await Bun.sleep(5);
  expect(late.state.tried).toBe(0);
});
