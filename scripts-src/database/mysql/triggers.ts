/** MariaDB writes triggers as their authors did, also with the database's name in front of the names of trigger and table. */
import { strange } from "../read-dump.ts";
import { unquote } from "./names.ts";
import { anyName } from "./words.ts";

/** White space and comments. */
const gap = "(?:\\s|/\\*(?!M?!)[\\s\\S]*?\\*/|--\\s[^\\n]*\\n|#[^\\n]*\\n)";
const inDatabase = `(?:(${anyName})${gap}*\\.${gap}*)?`;
const head = new RegExp(
  `\\bTRIGGER${gap}+(?:IF${gap}+NOT${gap}+EXISTS${gap}+)?${inDatabase}(${anyName})(${gap}+(?:BEFORE|AFTER)${gap}+[A-Z]+(?:${gap}+OR${gap}+[A-Z]+)*${gap}+ON${gap}+)${inDatabase}(?=(${anyName}))`,
  "i",
);

/** Whether a statement (in latin1, without its definer) creates one. */
export const createsTrigger = (text: string): boolean => /^(?:\/\*!\d+ )?CREATE\b[^'"`;(]*\bTRIGGER\b/i.test(text);

/** The name of the trigger that a statement (in latin1, without its definer) creates. */
export function triggerName(text: string): string | undefined {
  const found = head.exec(text)?.[2];
  return found === undefined ? undefined : unquote(found);
}

/** The name of its table. */
export function triggerTable(text: string): string | undefined {
  const found = head.exec(text)?.[5];
  return found === undefined ? undefined : unquote(found);
}

/** The statement without the name of the database that was dumped. Throws `Failure` when it names another one. */
export function withoutDatabase(text: string, database: string | undefined): string {
  const found = head.exec(text);
  const [all = "", before, trigger = "", between = "", table] = found ?? [];
  const others = [before, table].filter((one) => one !== undefined && unquote(one) !== database);
  if (!found || others.length > 0)
    throw strange(
      `holds a trigger of another database: ${others.join(", ") || text.slice(0, 60)}`,
      "look at the file: a restore touches only its own database",
    );
  return text.replace(all, () => `TRIGGER ${trigger}${between}`);
}
