/** Reading a dump to its end. */
import type { Contents, DumpReader } from "./database.ts";

/** Feeds `reader` with all of `sql`; what the dump holds. Throws what either of them throws. */
export async function readDump<C extends Contents>(reader: DumpReader<C>, sql: AsyncIterable<Uint8Array>): Promise<C> {
  for await (const chunk of sql) reader.add(chunk);
  return reader.end();
}
