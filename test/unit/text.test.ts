import { expect, test } from "bun:test";
import { counted, stampOf, visible, visibleName, wrap } from "../../scripts-src/base/text.ts";

test.each([
  ["an escape sequence", "a\u001b[31mred", "a\\x1b[31mred"],
  ["a C1 control (CSI in one character)", "a\u009b2J", "a\\x9b2J"],
  ["DEL", "a\u007f", "a\\x7f"],
  ["NUL and BEL", "\0\u0007", "\\x00\\x07"],
  ["a carriage return", "good\rbad", "good\\rbad"],
  ["a line end of Windows is a line end", "a\r\nb", "a\nb"],
  ["text turned around", "\u202egpj.exe\u202c \u2067x\u2069", "\\u202egpj.exe\\u202c \\u2067x\\u2069"],
  ["marks of direction", "\u200e\u200f\u061c", "\\u200e\\u200f\\u061c"],
  ["line separators of Unicode", "a\u2028b\u2029c", "a\\u2028b\\u2029c"],
  ["half a pair", "a\ud800b", "a\\ud800b"],
  ["a whole pair stays", "💾 Größe 大小", "💾 Größe 大小"],
  ["line breaks and tabs stay", "a\n\tb", "a\n\tb"],
])("S9: visible: %s", (_, text, shown) => {
  expect(visible(text)).toBe(shown);
});

test("S9: a name shows its line breaks too", () => {
  expect(visibleName("t\n2026-01-01T00:00:00.000Z INFO backup: all is well\t\r\n")).toBe(
    "t\\n2026-01-01T00:00:00.000Z INFO backup: all is well\\t\\r\\n",
  );
});

test("S9: nothing that is shown moves the cursor, whatever the text", () => {
  for (let code = 0; code < 0x3000; code++) {
    const shown = visible(`x${String.fromCharCode(code)}y`);
    // eslint-disable-next-line no-control-regex
    expect(shown).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
  }
});

test.each([
  ["  a  b\nc ", 20, ["a b c"]],
  ["one two three", 7, ["one two", "three"]],
  ["a verylongwordindeed b", 6, ["a", "verylongwordindeed", "b"]],
  ["", 10, [""]],
])("lines of %j at most %d wide", (text, width, lines) => {
  expect(wrap(text, width)).toEqual(lines);
});

test("numbers with their nouns, and times in names", () => {
  expect([counted(1, "table"), counted(2, "table"), counted(0, "entry", "entries")]).toEqual([
    "1 table",
    "2 tables",
    "0 entries",
  ]);
  expect(stampOf(new Date("2026-01-31T03:00:00.987Z"))).toBe("2026-01-31_03-00-00");
});
