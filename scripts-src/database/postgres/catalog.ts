/** Parts of questions to the catalog. */

/** What a query of one column finds, as a JSON array. */
export const jsonList = (query: string): string => `(SELECT coalesce(json_agg(x), '[]') FROM (${query}) AS q(x))`;

/** Whether a schema is none of the system's. */
export const userSchema = "nspname !~ '^(pg_|information_schema$)'";

/** Whether an extension has made the object: `oid` of `catalog`. */
export const isMember = (catalog: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_depend m WHERE m.classid = '${catalog}'::regclass AND m.objid = ${oid} AND m.deptype = 'e')`;
