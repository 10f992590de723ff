/** The encodings of dumps, for the names in them. */

/** The part of ISO 8859 that PostgreSQL calls LATIN1, LATIN2 … */
const latinParts = [1, 2, 3, 4, 9, 10, 13, 14, 15, 16];
/** What the Encoding Standard calls otherwise; a KOI8 or EUC differs in its hyphen alone. */
const labels: Readonly<Record<string, string>> = {
  ...Object.fromEntries(latinParts.map((part, index) => [`LATIN${index + 1}`, `iso-8859-${part}`])),
  EUC_CN: "gbk",
  KOI8R: "koi8-r",
  KOI8U: "koi8-u",
  WIN866: "ibm866",
};

/** A decoder for PostgreSQL's `encoding`; for UTF-8 where the platform knows no such encoding (SQL_ASCII, MULE_INTERNAL, EUC_TW). */
export function decoderOf(encoding: string): TextDecoder {
  const label = labels[encoding] ?? encoding.replace(/^WIN(\d)/, "windows-$1").replaceAll("_", "-");
  try {
    return new TextDecoder(label as Bun.Encoding);
  } catch {
    return new TextDecoder();
  }
}
