/** A name as the server has it, from a statement in latin1: without quotes, doubled ones undone. */
export const unquote = (word: string): string => {
  const mark = word.slice(0, 1);
  const plain = mark === "`" || mark === '"' ? word.slice(1, -1).replaceAll(mark.repeat(2), mark) : word;
  return Buffer.from(plain, "latin1").toString();
};
