/** Accounts and roles of MySQL and MariaDB as the statements that the server itself writes, without those that every server has. */
import { messageOf } from "../../base/errors.ts";
import type { ServerRoles } from "../roles.ts";
import { type Connection, everywhere, inDatabase } from "./connection.ts";
import type { ServerKind } from "./clients.ts";
import { quoteName } from "./names.ts";
import { plainMode, query, Session } from "./session.ts";

const systems = "root mysql mysql.sys mysql.session mysql.infoschema mariadb.sys PUBLIC rdsadmin".split(" ");

const account = "`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?";
/** Nothing of it can end the statement or hide another one. */
const one = /^(?:[^;`'"\\/#-]|`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|-(?!-))*;$/s;
const forms = {
  create: new RegExp(`^CREATE (?:USER|ROLE) (${account})(?: .*)?;$`, "s"),
  // MariaDB's role of everybody, which nobody creates
  grant: new RegExp(`^GRANT .* TO (${account}|PUBLIC)(?: WITH (?:GRANT|ADMIN) OPTION)?;$`, "s"),
  revoke: new RegExp(`^REVOKE .* FROM (${account});$`, "s"),
  standard: new RegExp(`^ALTER USER (${account}) DEFAULT ROLE (?:${account},?)+;$`, "s"),
  standardMariadb: new RegExp(`^SET DEFAULT ROLE ${account} FOR (${account});$`, "s"),
};
const ownerOf = (statement: string): string | undefined =>
  Object.values(forms)
    .map((form) => form.exec(statement)?.[1])
    .find((owner) => owner !== undefined);

const everything = / ON \*\.\* TO /;

export function serverAccounts(connection: Connection, kind: ServerKind): ServerRoles {
  const isMariadb = kind.family === "mariadb";
  const place = inDatabase(connection, everywhere);
  const list = async () => {
    const isRole = isMariadb
      ? "is_role = 'Y'"
      : "authentication_string = '' AND account_locked = 'Y' AND password_expired = 'Y'";
    const rows = await query(place, `${plainMode}SELECT user, host, ${isRole} FROM mysql.user ORDER BY 3 DESC, 1, 2`);
    return rows.map(([user = "", host = "", role]) => ({ user, host, isRole: role === "1" }));
  };
  const nameOf = ({ user, host, isRole }: Awaited<ReturnType<typeof list>>[number]) =>
    isMariadb && isRole ? quoteName(user) : `${quoteName(user)}@${quoteName(host)}`;

  /** Carries out each statement, whatever becomes of the others. */
  async function each(
    statements: readonly string[],
    refused: (statement: string, why: string) => void,
  ): Promise<string[][]> {
    let session: Session | undefined;
    const answers: string[][] = [];
    for (const statement of statements) {
      try {
        session ??= new Session(place, "refused");
        // MySQL writes hashes as they are otherwise, with control characters
        if (!isMariadb) session.write("SET print_identified_with_as_hex = 1;\n");
        answers.push((await session.ask(statement)).map(([line = ""]) => line));
      } catch (error) {
        connection.signal.throwIfAborted();
        await session?.stop();
        session = undefined;
        answers.push([]);
        refused(statement, messageOf(error).replace(/^refused: /, ""));
      }
    }
    await session?.stop();
    return answers;
  }

  async function read() {
    const accounts = (await list()).filter(({ user }) => user !== "" && !systems.includes(user));
    const lacking: string[] = [];
    const questions = accounts.flatMap((one) => [
      isMariadb && one.isRole ? "DO 0" : `SHOW CREATE USER ${nameOf(one)}`,
      `SHOW GRANTS FOR ${nameOf(one)}`,
    ]);
    const answers = await each(questions, (what, why) => lacking.push(`${what}: ${why}`));
    const created: string[] = [];
    const granted: string[] = [];
    for (const [at, one] of accounts.entries()) {
      const name = nameOf(one);
      const [create] = answers[2 * at] ?? [];
      created.push(isMariadb && one.isRole ? `CREATE ROLE ${name};` : `${withoutDefaultRole(create ?? "")};`);
      const roles = / DEFAULT ROLE ((?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+)/.exec(create ?? "")?.[1];
      const grants = (answers[2 * at + 1] ?? []).map((line) => `${withoutLogin(line)};`);
      granted.push(...grants.filter((line) => ownerOf(line) === name && line !== `GRANT USAGE ON *.* TO ${name};`));
      if (roles) granted.push(`ALTER USER ${name} DEFAULT ROLE ${roles};`);
    }
    const [toAll = []] = (await list()).some(isPublic) ? await each(["SHOW GRANTS FOR PUBLIC"], () => {}) : [];
    granted.push(...toAll.map((line) => `${line};`).filter((line) => line !== "GRANT USAGE ON *.* TO PUBLIC;"));
    const all = [...created, ...granted];
    // the server writes a certificate's subject as it is, whatever quotes are in it
    const odd = all.filter((line) => !isOurs(line)).map((line) => shown(line));
    for (const line of odd) lacking.push(`${line}: it could not be read back safely`);
    // without its account, a grant is of no use
    const readable = new Set([...created.filter(isOurs).map(ownerOf), "PUBLIC"]);
    return { statements: all.filter((line) => isOurs(line) && readable.has(ownerOf(line))), notes: [], lacking };
  }

  return {
    isOurs,
    read,
    async plan(statements) {
      const present = await list();
      const names = new Set([...present.map(nameOf), ...present.filter(isPublic).map(() => "PUBLIC")]);
      const { unfinished, lacking } = unfinishedOf(statements, (await read()).statements);
      const wanted = statements.filter((statement) => {
        const owner = ownerOf(statement) ?? "";
        return !names.has(owner) || (unfinished.has(owner) && !isCreate(statement));
      });
      const [[partial = "OFF"] = []] = isMariadb ? [] : await query(place, "SELECT if(@@partial_revokes, 'ON', 'OFF')");
      const { kept, warnings } = withoutHalf(wanted, partial === "ON");
      const carryOut = async (some: readonly string[]) => {
        const refused: string[] = [];
        await each(
          some.map((line) => line.replace(/;$/, "")),
          (line, why) => refused.push(`${shown(line)}: ${why}`),
        );
        return refused;
      };
      return {
        missing: kept.filter(isCreate).map((line) => ownerOf(line) ?? ""),
        unfinished: [...unfinished],
        superusers: [...new Set(kept.filter(isSuper).map((line) => ownerOf(line) ?? ""))],
        create: () => carryOut(kept.filter(isCreate)),
        grant: async () => [...warnings, ...lacking, ...(await carryOut(kept.filter((line) => !isCreate(line))))],
      };
    },
  };
}

/** A server has it once a right was granted to it. */
const isPublic = ({ user, isRole }: { user: string; isRole: boolean }) => user === "PUBLIC" && isRole;

const isCreate = (line: string) => forms.create.test(line);

/**
 * What an interrupted restore can have left, since rights wait for the databases: accounts that are as the backup creates them. Those
 * without any right are `unfinished`. From the others somebody can have taken a right away since: what they lack is only reported.
 */
function unfinishedOf(statements: readonly string[], present: readonly string[]) {
  const here = new Set(present);
  const rightsOf = (all: readonly string[], owner: string) =>
    all.filter((line) => !isCreate(line) && ownerOf(line) === owner);
  const unfinished = new Set<string>();
  const lacking: string[] = [];
  for (const owner of statements
    .filter((line) => isCreate(line) && here.has(line))
    .map((line) => ownerOf(line) ?? "")) {
    const [wanted, has] = [rightsOf(statements, owner), rightsOf(present, owner)];
    if (has.length >= wanted.length || !has.every((line) => wanted.includes(line))) continue;
    if (has.length === 0) unfinished.add(owner);
    else
      lacking.push(
        ...wanted
          .filter((line) => !here.has(line))
          .map((line) => `${shown(line)} (the account exists and has other rights)`),
      );
  }
  return { unfinished, lacking };
}

const isOurs = (statement: string) =>
  !/[\n\r]/.test(statement) && one.test(statement) && ownerOf(statement) !== undefined;

const withoutDefaultRole = (create: string) => create.replace(/ DEFAULT ROLE (?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+/, "");

/** MariaDB writes the password and limits of an account into its grants, where they would change what CREATE USER has set. */
function withoutLogin(grant: string): string {
  const [, start = grant, rest = ""] = new RegExp(`^(GRANT .* TO ${account})( .*)?$`, "s").exec(grant) ?? [];
  const option =
    / WITH (?:GRANT|ADMIN) OPTION/.exec(rest)?.[0] ?? (/ WITH .*GRANT OPTION/.test(rest) ? " WITH GRANT OPTION" : "");
  return start + option;
}

/** A right on everything without the REVOKE that belongs to it would be more than the account had. */
function withoutHalf(statements: readonly string[], canRevoke: boolean): { kept: string[]; warnings: string[] } {
  const halved = new Set(
    canRevoke ? [] : statements.filter((line) => forms.revoke.test(line)).map((line) => ownerOf(line) ?? ""),
  );
  const isHalf = (line: string) =>
    halved.has(ownerOf(line) ?? "") && (forms.revoke.test(line) || everything.test(line));
  return {
    kept: statements.filter((line) => !isHalf(line)),
    warnings: [...halved].map(
      (name) =>
        `rights of ${name} on all databases, because some are revoked and partial_revokes is OFF on this server`,
    ),
  };
}

const isSuper = (line: string) =>
  everything.test(line) && /^GRANT .*\b(?:ALL PRIVILEGES|SUPER|CREATE USER)\b/.test(line);

/** Without its password. */
const shown = (line: string) => line.replace(/^(CREATE USER `(?:[^`]|``)*`@`(?:[^`]|``)*`).*$/s, "$1");
