/** Rights on single routines: DROP takes them away, and CREATE does not give them back. */
import { quoteName, quoteText } from "./names.ts";
import type { Objects } from "./objects.ts";
import type { Session } from "./session.ts";

/** Statements that give them again; `hidden`: a warning where the user may not read who has them. */
export async function readGrants(
  session: Session,
  database: string,
  routines: Objects["routines"],
): Promise<{ grants: string[]; hidden?: string }> {
  if (routines.length === 0) return { grants: [] };
  const [[readable] = []] = await session.ask(
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'mysql' AND table_name = 'procs_priv'",
  );
  if (readable !== "1")
    return {
      grants: [],
      hidden: `rights that others have on single procedures or functions of ${database} are lost: this user may not read them (SELECT ON mysql.procs_priv)`,
    };
  const rows = await session.ask(
    `SELECT user, host, routine_type, routine_name, proc_priv FROM mysql.procs_priv WHERE db = ${quoteText(database)}`,
  );
  return {
    grants: rows.map(([user = "", host = "", kind = "", name = "", words = ""]) => {
      const rights = words.split(",").filter((word) => word !== "Grant");
      const to = host === "" ? quoteName(user) : `${quoteName(user)}@${quoteName(host)}`;
      const option = words.includes("Grant") ? " WITH GRANT OPTION" : "";
      return `GRANT ${rights.join(", ")} ON ${kind} ${quoteName(database)}.${quoteName(name)} TO ${to}${option}`;
    }),
  };
}
