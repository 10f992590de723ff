/** Whether a text is one statement for the server, which runs several that a `;` separates, also behind the body of a trigger. */

const token = /[A-Za-z_$\x80-\xff][\w$\x80-\xff]*|``|''|:=|\S/g;
const blocks = new Set(["BEGIN", "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"]);
const program =
  /^CREATE (?:OR REPLACE )?(?:DEFINER ?= ?\S+ )?(?:AGGREGATE )?(PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE)\b/i;
/** Of Oracle's kind; or what is shifted, which ends nothing. */
const label = /<< ?[\w$`]+ ?>>/g;
/** Behind these stands a name, whatever word it is. */
const named = /^(?:PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE|BODY|EXISTS|ON|\.|@|=)$/;
/** The first word of a body that is one plain statement. */
const plain = /^(?:SELECT|SET|RETURN|CALL|REPLACE|DO|WITH|VALUES|TABLE|GET|SIGNAL|EXECUTE)$/;
/** What a program's declarations do not begin with, and another statement does. */
const verbs = new Set(
  (
    "( ALTER ANALYZE BACKUP BINLOG CACHE CALL CHANGE CHECK CHECKSUM CLONE COMMIT CREATE DEALLOCATE DELETE DO DROP EXECUTE EXPLAIN " +
    "FLUSH GRANT HANDLER HELP IMPORT INSERT INSTALL KILL LOAD LOCK OPTIMIZE PREPARE PURGE RENAME REPAIR REPLACE RESET RESTART REVOKE " +
    "ROLLBACK SELECT SET SHOW SHUTDOWN START STOP TABLE TRUNCATE UNINSTALL UNLOCK UPDATE USE VALUES WITH XA"
  ).split(" "),
);

/** `words` is bare SQL with single spaces. A program that is not understood is taken for one statement. */
export function isOneStatement(words: string): boolean {
  if (!/;\s*[^;\s]/.test(words)) return true;
  const kind = program.exec(words)?.[1]?.toUpperCase();
  return kind !== undefined && new Program(kind).isAlone(words.toUpperCase().replaceAll(label, "").match(token) ?? []);
}

class Program {
  /** The words that began the blocks that are open; "case" for the expression. */
  private readonly open: string[] = [];
  /** The next word begins a statement. */
  private begins = false;
  /** No body has begun. */
  private header = true;
  /** A type was named as SQL does it; in Oracle's kind, RETURN stands before the type. */
  private returns = false;
  /** An AS or, in a trigger, a DECLARE of Oracle's kind was there: declarations can follow, each with its `;`, then BEGIN. */
  private declares = false;
  /** How far a program within a package is read: AS and declarations end its header, BEGIN its declarations. */
  private part: "header" | "declarations" | undefined;
  private declaration = false;
  private handler = false;
  private separated = false;
  private parentheses = 0;

  private readonly kind: string;

  constructor(kind: string) {
    this.kind = kind;
  }

  isAlone(tokens: readonly string[]): boolean {
    for (let at = 0; at < tokens.length; at++) {
      const [before = "", word = "", after = ""] = [tokens[at - 1], tokens[at], tokens[at + 1]];
      if (word === ")") this.parentheses--;
      if (this.parentheses > 0 || (word === "(" && !this.begins)) {
        if (word === "(") this.parentheses++;
        continue;
      }
      if (word === ";") this.semicolon();
      else if (this.begins && after === ":") at++;
      else if (this.begins) {
        if (this.open.length === 0 && this.separated && this.isAnother(word, after)) return false;
        if (this.first(word) && blocks.has(after)) at++;
        if (word === "(") this.parentheses++;
      } else if (this.inside(before, word, after)) at++;
    }
    return true;
  }

  private semicolon(): void {
    this.begins = true;
    this.handler = false;
    if (this.part === "header") this.part = undefined;
    if (this.open.length > 0) return;
    this.separated = true;
    this.declares &&= this.header;
  }

  /** The first word of a statement; whether it ends a block, whose kind can follow. */
  private first(word: string): boolean {
    this.begins = word === "BEGIN" || word === "LOOP" || word === "REPEAT" || word === "ELSE";
    if (this.open.at(-1) === "PACKAGE") this.inPackage(word);
    this.declares ||= this.header && word === "DECLARE";
    if (!this.declares || word === "BEGIN") this.header = false;
    this.declaration = word === "DECLARE";
    if (word === "END") this.open.pop();
    else if (blocks.has(word)) this.open.push(word);
    return word === "END";
  }

  /** Any other word; whether the next one belongs to it. */
  private inside(before: string, word: string, after: string): boolean {
    const top = this.open.at(-1);
    this.handler ||= this.declaration && word === "HANDLER";
    const body = this.header || (this.handler && !/^(?:FOR|,)$/.test(before));
    if (this.part === "header" && /^(?:AS|IS)$/.test(word)) [this.part, this.begins] = ["declarations", true];
    const ends = word === "END" && (top === "case" || (top === "REPEAT" && after === "REPEAT"));
    if (ends) this.open.pop();
    else if (word === "CASE" && !this.header) this.open.push("case");
    else if (/^(?:THEN|ELSE)$/.test(word) && top !== "case") this.begins = true;
    else if (word === "DO" && (top === "WHILE" || top === "FOR" || (this.header && this.kind === "EVENT")))
      this.begins = true;
    else if (word === "ROW" && before === "EACH") this.begins = true;
    else if (word === "BEGIN" && body && !named.test(before) && after !== ":") this.first(word);
    else if (this.header && !named.test(before)) this.inHeader(word, after);
    return ends && after === "REPEAT";
  }

  private inHeader(word: string, after: string): void {
    if (/^(?:AS|IS)$/.test(word) && this.kind === "PACKAGE") {
      [this.header, this.begins] = [false, true];
      this.open.push("PACKAGE");
    } else if (/^(?:AS|IS)$/.test(word)) this.declares = true;
    else if (word === "RETURNS") this.returns = true;
    else if (word === "RETURN" && this.kind === "FUNCTION" && !this.returns) return;
    else if (/^(?:IF|CASE|LOOP|WHILE|REPEAT)$/.test(word) && !/^(?:NOT|EXISTS)$/.test(after)) this.first(word);
    else if (plain.test(word) && !this.declares) this.header = false;
  }

  /** The first word of a program, of a declaration or of the statements that a package begins with, which end by its own END. */
  private inPackage(word: string): void {
    if (/^(?:PROCEDURE|FUNCTION)$/.test(word)) this.part = "header";
    if (word !== "BEGIN") return;
    if (this.part === undefined) this.open.pop();
    this.part = undefined;
  }

  /** Behind the end of a program: a statement of its own. */
  private isAnother(word: string, after: string): boolean {
    if (word === "BEGIN") return !this.declares || /^(?:;|NOT|WORK)$/.test(after);
    return verbs.has(word) || blocks.has(word);
  }
}
