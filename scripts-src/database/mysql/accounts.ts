/** Accounts and roles of MySQL and MariaDB as the statements that the server itself writes, without those that every server has. */
import { listOf } from "../../base/text.ts";
import type { ServerRoles } from "../roles.ts";
import { type Connection, everywhere, inDatabase } from "./connection.ts";
import type { ServerKind } from "./clients.ts";
import { quoteName } from "./names.ts";
import { plainMode, query, refusalIn, Session } from "./session.ts";

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
/** Empty for what is no statement of ours. */
const ownerOf = (statement: string): string =>
  Object.values(forms)
    .map((form) => form.exec(statement)?.[1])
    .find((owner) => owner !== undefined) ?? "";

const everything = / ON \*\.\* TO /;

/** An account has it from its creation until a restore has given it all its rights. No such table exists, so it allows nothing. */
const unfinishedMark = "CREATE ON `backup_scripts`.`unfinished_restore`";
const isMark = (line: string) => line.startsWith(`GRANT ${unfinishedMark} TO `);

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

  function begin(): Session {
    const session = new Session(place, "cannot read or change the server's accounts");
    // a GRANT to an account that could not be created would create it, without a password; MySQL does not know that mode
    if (isMariadb) session.write("SET SESSION sql_mode = 'NO_AUTO_CREATE_USER';\n");
    // MySQL writes hashes as they are otherwise, with control characters
    else session.write(`${plainMode}SET print_identified_with_as_hex = 1;\n`);
    return session;
  }

  /** Carries out each statement, whatever the server answers to the others. Throws `Failure` when it cannot answer. */
  async function each(
    statements: readonly string[],
    refused: (statement: string, why: string) => void,
  ): Promise<string[][]> {
    let session: Session | undefined;
    const answers: string[][] = [];
    for (const statement of statements) {
      try {
        session ??= begin();
        answers.push((await session.ask(statement)).map(([line = ""]) => line));
      } catch (error) {
        connection.signal.throwIfAborted();
        await session?.stop();
        session = undefined;
        const why = refusalIn(error);
        if (why === undefined) throw error;
        answers.push([]);
        refused(statement, why);
      }
    }
    await session?.stop();
    return answers;
  }

  /** With the marks of unfinished accounts. */
  async function readAll() {
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
    return { statements: all.filter((line) => isOurs(line) && readable.has(ownerOf(line))), lacking };
  }

  return {
    isOurs,
    async read() {
      const { statements, lacking } = await readAll();
      for (const line of statements.filter(isMark))
        lacking.push(
          `rights of ${ownerOf(line)}: the restore that created it was interrupted; run restore --all again`,
        );
      return { statements: statements.filter((line) => !isMark(line)), notes: [], lacking };
    },
    async plan(statements) {
      const present = await list();
      const names = new Set([...present.map(nameOf), ...present.filter(isPublic).map(() => "PUBLIC")]);
      const { unfinished, lacking } = unfinishedOf(statements, (await readAll()).statements);
      const wanted = statements.filter((statement) => {
        const owner = ownerOf(statement);
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
      const missing = new Map(kept.filter(isCreate).map((line) => [ownerOf(line), line]));
      const owners = new Set([...kept.map(ownerOf), ...unfinished]);
      return {
        missing: [...missing.keys()],
        unfinished: [...unfinished],
        superusers: [...new Set(kept.filter(isSuper).map(ownerOf))],
        async create() {
          const marks = [...owners].flatMap((owner) =>
            listOf(missing.get(owner), `GRANT ${unfinishedMark} TO ${owner};`),
          );
          return (await carryOut(marks)).filter((refused) => !isMark(refused));
        },
        grant: async () => [...warnings, ...lacking, ...(await carryOut(kept.filter((line) => !isCreate(line))))],
        async finish() {
          await carryOut([...owners].map((owner) => `REVOKE ${unfinishedMark} FROM ${owner};`));
        },
      };
    },
  };
}

/** A server has it once a right was granted to it. */
const isPublic = ({ user, isRole }: { user: string; isRole: boolean }) => user === "PUBLIC" && isRole;

const isCreate = (line: string) => forms.create.test(line);

/**
 * Accounts are `unfinished` that bear the mark, or that are as the backup creates them and have no right: the restore was interrupted
 * before it could mark them. From others somebody can have taken a right away since: what they lack is only reported.
 */
function unfinishedOf(statements: readonly string[], present: readonly string[]) {
  const here = new Set(present);
  const [allWanted, all] = [Map.groupBy(statements, ownerOf), Map.groupBy(present, ownerOf)];
  const unfinished = new Set<string>();
  const lacking: string[] = [];
  for (const [owner, wanted] of allWanted) {
    // its CREATE and its rights
    const has = all.get(owner) ?? [];
    const isLess = has.length > 0 && has.length < wanted.length && has.every((line) => wanted.includes(line));
    if (has.some(isMark) || (isLess && has.every(isCreate))) unfinished.add(owner);
    else if (isLess)
      for (const line of wanted.filter((one) => !here.has(one)))
        lacking.push(`${shown(line)} (the account exists and has other rights)`);
  }
  return { unfinished, lacking };
}

const isOurs = (statement: string) => !/[\n\r]/.test(statement) && one.test(statement) && ownerOf(statement) !== "";

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
  const halved = new Set(canRevoke ? [] : statements.filter((line) => forms.revoke.test(line)).map(ownerOf));
  const isHalf = (line: string) => halved.has(ownerOf(line)) && (forms.revoke.test(line) || everything.test(line));
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
