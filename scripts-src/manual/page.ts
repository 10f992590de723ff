/** How a longer text looks: on a terminal as wide as that and with headings set off, elsewhere plain, 80 columns. */
import { painterFor, wrap } from "../base/text.ts";

export interface Page {
  heading(text: string): string;
  /** The name of a thing that is explained. */
  term(text: string): string;
  /** Text in full lines, each behind `indent` spaces. */
  paragraph(text: string, indent: number): string;
  /** Lines as they are, for things to be copied. */
  verbatim(text: string, indent: number): string;
}

export function pageFor(out: { isTTY?: boolean; columns?: number }, env: Record<string, string | undefined>): Page {
  const paint = painterFor(out, env);
  const width = out.isTTY === true ? Math.max(40, Math.min(100, out.columns ?? 80)) : 80;
  const indented = (lines: string[], indent: number) =>
    lines.map((line) => (line === "" ? "" : `${" ".repeat(indent)}${line}`)).join("\n");
  return {
    heading: (text) => paint("bold", text.toUpperCase()),
    term: (text) => paint("cyan", text),
    paragraph: (text, indent) => indented(wrap(text, width - indent), indent),
    verbatim: (text, indent) => indented(text.split("\n"), indent),
  };
}
