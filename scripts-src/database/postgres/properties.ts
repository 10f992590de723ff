/** The properties of a database (encoding, locale, owner, settings, privileges, comment) for a new one like it. */
import { Failure } from "../../base/errors.ts";
import type { Connection } from "./connection.ts";
import { name } from "./contents.ts";
import { dump } from "./dump.ts";
import { identifier } from "./names.ts";
import type { Clients } from "./probe.ts";
import { splitStatements } from "./statements.ts";

export interface PropertyStatements {
  create: string;
  /** What comes next where that fails: less and less alike. */
  otherwise?: string[];
  /** What may be refused, so that it is before a long load. */
  early: string[];
  /** Each on its own: what is refused is warned of. */
  optional?: string[];
  /** What would be in the way of the load (limit of connections, read-only), or is for the finished database (comment). */
  late: string[];
}

const about = new RegExp(
  String.raw`^(CREATE|ALTER|COMMENT ON|ALTER ROLE ${name} IN|(?:GRANT|REVOKE) [A-Z, ]+ ON|SECURITY LABEL FOR ${name} ON) DATABASE ${name}`,
);

const noComment = (fresh: string) => `COMMENT ON DATABASE ${identifier(fresh)} IS NULL;`;

/** What makes a database like the present one, under the name `fresh`, as pg_dump of its version knows it. */
export async function readProperties(
  present: Connection,
  clients: Clients,
  fresh: string,
  major: number,
): Promise<PropertyStatements> {
  const statements: string[] = [];
  const options = ["--create", "--schema-only", "--exclude-schema=*"];
  for await (const piece of splitStatements(dump(present, clients, options))) {
    if (piece.kind !== "statement") continue;
    const found = about.exec(piece.text);
    const old = found?.at(-1);
    if (!found || old === undefined) continue;
    const start = found[0].slice(0, found[0].length - old.length);
    statements.push(start + identifier(fresh) + piece.text.slice(found[0].length));
  }
  const [create, ...others] = statements.filter((text) => !text.startsWith("COMMENT"));
  const comment = statements.find((text) => text.startsWith("COMMENT"));
  if (!create?.startsWith("CREATE")) throw new Failure(`pg_dump does not say how ${present.where} was created`);
  const isLate = (text: string) => / CONNECTION LIMIT = | SET default_transaction_read_only /.test(text);
  return {
    // written by pg_dump 15 and later whatever the server
    create: major < 15 ? create.replace(" LOCALE_PROVIDER = libc", "") : create,
    early: others.filter((text) => !isLate(text)),
    late: [...others.filter(isLate), comment ?? noComment(fresh)],
  };
}

/** Of a database that the server makes by its own defaults; in another encoding than the server's it can only have the locale C. */
export function defaultProperties(
  fresh: string,
  { encoding, serverEncoding }: { encoding: string | undefined; serverEncoding: string },
): PropertyStatements {
  const other = encoding !== undefined && encoding !== serverEncoding;
  const locale = other ? ` ENCODING '${encoding.replaceAll("'", "")}' LC_COLLATE 'C' LC_CTYPE 'C'` : "";
  return {
    create: `CREATE DATABASE ${identifier(fresh)} TEMPLATE template0${locale};`,
    early: [],
    late: [noComment(fresh)],
  };
}
