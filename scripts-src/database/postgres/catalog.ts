/** Parts of questions to the catalog. */

/** What a query of one column finds, as a JSON array. */
export const jsonList = (query: string): string => `(SELECT coalesce(json_agg(x), '[]') FROM (${query}) AS q(x))`;

/** Something to ask the server for: `sql` gives it as JSON. */
export interface Fact<T> {
  sql: string;
  /** What holds where there is nothing to ask. */
  absent: T;
}

export const fact = <T>(sql: string, absent: T): Fact<T> => ({ sql, absent });
/** What a query of one column finds. */
export const factList = <T = string>(query: string, absent: T[] = []): Fact<T[]> => fact(jsonList(query), absent);

export type Facts = Record<string, Fact<unknown>>;
export type Found<F extends Facts> = { [Name in keyof F]: F[Name]["absent"] };

/** What holds where there is nothing to ask. */
export const absent = <F extends Facts>(facts: F): Found<F> =>
  Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, fact.absent])) as Found<F>;

/** Whether a schema is none of the system's. */
export const userSchema = "nspname !~ '^(pg_|information_schema$)'";

/** Whether an extension has made the object: `oid` of `catalog`. */
export const isMember = (catalog: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_depend m WHERE m.classid = '${catalog}'::regclass AND m.objid = ${oid} AND m.deptype = 'e')`;
