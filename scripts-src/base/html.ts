/** HTML from templates: whatever is put into one is escaped, its control characters made visible, unless it is HTML already. */
import { visible, visibleName } from "./text.ts";

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Html | readonly Html[] | undefined;

/** The tag of a template. */
export const html = (strings: TemplateStringsArray, ...values: readonly Value[]): Html =>
  new Html(String.raw({ raw: strings }, ...values.map(textOf)));

/** A text of several lines: its line breaks stay. */
export const lines = (text: string): Html => new Html(Bun.escapeHTML(visible(text)));

function textOf(value: Value): string {
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map(({ text }) => text).join("");
  return value === undefined ? "" : Bun.escapeHTML(visibleName(String(value)));
}
