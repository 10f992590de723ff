/** Whether a text is one statement for the server, which runs several that a `;` separates, also behind the body of a trigger. */

const token = /[A-Za-z_$\x80-\xff][\w$\x80-\xff]*|``|''|:=|\S/g;
const blocks = new Set(["BEGIN", "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"]);
/** What a program's declarations do not begin with, and another statement does. */
const verbs = new Set(
  (
    "( ALTER ANALYZE BACKUP BINLOG CACHE CALL CHANGE CHECK CHECKSUM CLONE COMMIT CREATE DEALLOCATE DELETE DO DROP EXECUTE EXPLAIN " +
    "FLUSH GRANT HANDLER HELP IMPORT INSERT INSTALL KILL LOAD LOCK OPTIMIZE PREPARE PURGE RENAME REPAIR REPLACE RESET RESTART REVOKE " +
    "ROLLBACK SELECT SET SHOW SHUTDOWN START STOP TABLE TRUNCATE UNINSTALL UNLOCK UPDATE USE VALUES WITH XA"
  ).split(" "),
);

/** `words` is bare SQL. What cannot be told is taken for one statement. */
export function isOneStatement(words: string): boolean {
  if (!/;\s*[^;\s]/.test(words)) return true;
  if (!/^CREATE\b/i.test(words)) return false;
  const tokens = (words.match(token) ?? []).map((word) => word.toUpperCase());
  /** Blocks that are open: the words that began them; "case" for the expression. */
  const open: string[] = [];
  let begins = false;
  let separated = false;
  let header = true;
  for (let at = 0; at < tokens.length; at++) {
    const [before = "", word = "", after = ""] = [tokens[at - 1], tokens[at], tokens[at + 1]];
    if (word === ";") {
      begins = true;
      separated ||= open.length === 0;
      header = false;
    } else if (begins) {
      if (after === ":") {
        at++;
        continue;
      }
      begins = false;
      header = false;
      if (open.length === 0 && separated && isAnother(word, after)) return false;
      if (word === "END") {
        open.pop();
        if (blocks.has(after)) at++;
      } else if (blocks.has(word)) {
        open.push(word);
        begins = word === "BEGIN" || word === "LOOP" || word === "REPEAT";
      } else begins = word === "ELSE";
    } else if (word === "BEGIN" && before !== "." && before !== "@" && !/^[,)=.<>]$/.test(after)) {
      open.push(word);
      begins = true;
    } else if (word === "CASE" && !header) open.push("case");
    else if (word === "END" && (open.at(-1) === "case" || after === "REPEAT")) {
      open.pop();
      if (after === "REPEAT") at++;
    } else if (/^(?:THEN|ELSE|DO)$/.test(word) && open.at(-1) !== "case") {
      begins = true;
      header = false;
    } else if (word === "ROW" && before === "EACH") begins = true;
    else if (header && /^(?:IF|CASE|LOOP|WHILE|REPEAT)$/.test(word) && !/^(?:NOT|EXISTS)$/.test(after)) {
      open.push(word);
      begins = word === "LOOP" || word === "REPEAT";
    } else if (/^(?:SELECT|SET|RETURN|CALL|REPLACE)$/.test(word)) header = false;
  }
  return true;
}

/** Behind the end of a program: a statement of its own. What begins with BEGIN can be the last part of a package. */
const isAnother = (word: string, after: string): boolean =>
  verbs.has(word) || (word === "BEGIN" ? /^(?:;|NOT|WORK)$/.test(after) : blocks.has(word));
