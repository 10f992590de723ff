/** What psql takes a byte for. */

export const quoteMark = 0x27;
export const newline = 0x0a;
export const backslash = 0x5c;

export const isSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
export const isWordStart = (byte: number) =>
  (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x5f || byte >= 0x80;
export const isWord = (byte: number) => isWordStart(byte) || (byte >= 0x30 && byte <= 0x39) || byte === 0x24;
export const isLetterOrDigit = (byte: number) => isWord(byte) && byte !== 0x24;
