/** The rows of a COPY, up to the line `\\.`. */
import { backslash, newline } from "./words.ts";

interface CopiedRows {
  /** So many bytes of the text are rows for certain, and so many rows end in them. */
  bytes: number;
  rows: number;
  /** Length of the line `\\.` behind them; 0 while it has not come. */
  end: number;
}

/** What a text that begins among the rows holds. `beginsLine`: it begins at the beginning of a line. `last`: no more text follows. */
export function copiedRows(text: Buffer, beginsLine: boolean, last: boolean): CopiedRows {
  let rows = beginsLine ? 0 : 1;
  let at = beginsLine ? 0 : text.indexOf(newline) + 1;
  if (at === 0 && !beginsLine) return { bytes: text.length, rows: 0, end: 0 };
  for (;;) {
    // a row may begin with a backslash, too: \N stands for NULL
    const end = text[at] === backslash && (text[at + 1] ?? point) === point ? lineLength(text, at, last) : 0;
    if (end !== 0) return { bytes: at, rows, end: end ?? 0 };
    const next = text.indexOf(newline, at) + 1;
    if (next === 0) return { bytes: text.length, rows, end: 0 };
    rows++;
    at = next;
  }
}

const point = 0x2e;

/** 0 when another line begins there; undefined when more text is needed to tell. */
function lineLength(text: Buffer, at: number, last: boolean): number | undefined {
  const line = text.toString("latin1", at, at + 4);
  if (line.startsWith("\\.\n")) return 3;
  if (line === "\\.\r\n") return 4;
  if (last) return line === "\\." ? 2 : 0;
  return "\\.\r\n".startsWith(line) ? undefined : 0;
}
