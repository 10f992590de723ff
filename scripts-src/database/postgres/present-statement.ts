/** What is known of a statement while it is read. */

/** The words by which psql knows the beginning of a routine. */
const routineWords: Record<string, string> = { CREATE: "c", OR: "o", REPLACE: "r", FUNCTION: "f", PROCEDURE: "p" };

export class PresentStatement {
  /** Offset of its first word, -1 while there is only white space and comment. */
  start = -1;
  /** It starts with CREATE: only there words open and close blocks. */
  creates = false;
  /** It starts with INSERT. */
  inserts = false;
  /** A part of it was already passed on. */
  partial = false;
  parentheses = 0;
  /** Outermost parentheses. */
  groups = 0;
  /** Depth of BEGIN ATOMIC … END and CASE … END in the body of a function. */
  blocks = 0;
  /** What its first four words are, as psql counts them: "corf" is CREATE OR REPLACE FUNCTION, other words are "-". */
  words = "";

  begin(at: number, word: string, inserts: boolean): void {
    this.start = at;
    this.creates = word === "CREATE";
    this.inserts = inserts;
  }

  open(): void {
    if (this.parentheses++ === 0) this.groups++;
  }

  close(): void {
    this.parentheses = Math.max(0, this.parentheses - 1);
  }

  /** Semicolons between BEGIN and END end no statement that begins CREATE [OR REPLACE] {FUNCTION | PROCEDURE}. */
  countWord(word: string): void {
    if (this.words.length < 4) this.words += routineWords[word] ?? "-";
    if (this.parentheses > 0 || !/^c(or)?[fp]/.test(this.words)) return;
    if (word === "BEGIN" || (word === "CASE" && this.blocks > 0)) this.blocks++;
    else if (word === "END" && this.blocks > 0) this.blocks--;
  }
}
