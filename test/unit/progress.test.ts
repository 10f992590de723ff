import { expect, test } from "bun:test";
import { clock, progressLine } from "../../scripts-src/base/progress.ts";
import { durationText } from "../../scripts-src/base/text.ts";

test.each([
  [0, "0:00"],
  [59_999, "0:59"],
  [3_599_000, "59:59"],
  [3_600_000, "1:00:00"],
])("%p ms are %p", (ms, text) => expect(clock(ms)).toBe(text));

test.each([
  [0, "0.0s"],
  [412, "0.4s"],
  [12_345, "12.3s"],
  [3_723_000, "1h 2m 3s"],
])("%p ms took %p", (ms, text) => expect(durationText(ms)).toBe(text));

const state = { label: "backup", done: 50, total: 100, estimated: false, elapsedMs: 1000, columns: 80 };
test.each([
  [state, "backup ██████████░░░░░░░░░░ 50 %  50 B  50 B/s  0:01, 0:01 left"],
  [{ ...state, done: 300, estimated: true }, "~99 %"],
  [{ ...state, done: 100 }, "100 %  100 B  100 B/s  0:01"],
  [{ ...state, total: 0 }, "0 %  50 B"],
])("progress of %p", (given, text) => expect(progressLine(given)).toContain(text));
