/** Accounts and roles of MySQL and MariaDB as the statements that the server itself writes, without those that every server has. */
import { listOf } from "../../base/text.ts";
import type { RolesPlan, ServerRoles } from "../roles.ts";
import type { ServerKind } from "./clients.ts";
import { type Connection, everywhere, inDatabase } from "./connection.ts";
import { quoteName } from "./names.ts";
import { plainMode, query, refusalIn, Session } from "./session.ts";

/** The statements by which the servers write accounts, roles and their rights. */
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

const isCreate = (line: string) => forms.create.test(line);

/**
 * An account is `unfinished` when it bears the mark, or when it is as the backup creates it and has no right: the restore was interrupted
 * before it could mark it. Somebody can have revoked rights of other accounts since: what they lack is only reported.
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

export const isOurs = (statement: string) =>
  !/[\n\r]/.test(statement) && one.test(statement) && ownerOf(statement) !== "";

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

const systems = "root mysql mysql.sys mysql.session mysql.infoschema mariadb.sys PUBLIC rdsadmin".split(" ");

interface Account {
  user: string;
  host: string;
  isRole: boolean;
}

/** A server has it once a right was granted to it. */
const isPublic = ({ user, isRole }: Account) => user === "PUBLIC" && isRole;

export class ServerAccounts implements ServerRoles {
  readonly isOurs = isOurs;
  readonly #place: Connection;
  readonly #isMariadb: boolean;

  constructor(connection: Connection, kind: ServerKind) {
    this.#place = inDatabase(connection, everywhere);
    this.#isMariadb = kind.family === "mariadb";
  }

  async read() {
    const { statements, lacking } = await this.#readAll();
    for (const line of statements.filter(isMark))
      lacking.push(`rights of ${ownerOf(line)}: the restore that created it was interrupted; run restore --all again`);
    return { statements: statements.filter((line) => !isMark(line)), notes: [], lacking };
  }

  async plan(statements: readonly string[]): Promise<RolesPlan> {
    const present = await this.#list();
    const names = new Set([
      ...present.map((one) => this.#nameOf(one)),
      ...present.filter(isPublic).map(() => "PUBLIC"),
    ]);
    const { unfinished, lacking } = unfinishedOf(statements, (await this.#readAll()).statements);
    const wanted = statements.filter((statement) => {
      const owner = ownerOf(statement);
      return !names.has(owner) || (unfinished.has(owner) && !isCreate(statement));
    });
    const { kept, warnings } = withoutHalf(wanted, await this.#revokesPartially());
    const missing = new Map(kept.filter(isCreate).map((line) => [ownerOf(line), line]));
    const owners = [...new Set([...kept.map(ownerOf), ...unfinished])];
    const marks = owners.flatMap((owner) => listOf(missing.get(owner), `GRANT ${unfinishedMark} TO ${owner};`));
    const rights = kept.filter((line) => !isCreate(line));
    return {
      missing: [...missing.keys()],
      unfinished: [...unfinished],
      superusers: [...new Set(kept.filter(isSuper).map(ownerOf))],
      create: async () => (await this.#carryOut(marks)).filter((refused) => !isMark(refused)),
      grant: async () => [...warnings, ...lacking, ...(await this.#carryOut(rights))],
      finish: async () => {
        await this.#carryOut(owners.map((owner) => `REVOKE ${unfinishedMark} FROM ${owner};`));
      },
    };
  }

  async #list(): Promise<Account[]> {
    const isRole = this.#isMariadb
      ? "is_role = 'Y'"
      : "authentication_string = '' AND account_locked = 'Y' AND password_expired = 'Y'";
    const question = `${plainMode}SELECT user, host, ${isRole} FROM mysql.user ORDER BY 3 DESC, 1, 2`;
    const rows = await query(this.#place, question);
    return rows.map(([user = "", host = "", role]) => ({ user, host, isRole: role === "1" }));
  }

  #nameOf({ user, host, isRole }: Account): string {
    return this.#isMariadb && isRole ? quoteName(user) : `${quoteName(user)}@${quoteName(host)}`;
  }

  /** With the marks of unfinished accounts. */
  async #readAll(): Promise<{ statements: string[]; lacking: string[] }> {
    const present = await this.#list();
    const accounts = present.filter(({ user }) => !systems.includes(user));
    const lacking: string[] = [];
    const questions = accounts.flatMap((one) => [
      this.#isMariadb && one.isRole ? "DO 0" : `SHOW CREATE USER ${this.#nameOf(one)}`,
      `SHOW GRANTS FOR ${this.#nameOf(one)}`,
    ]);
    const answers = await this.#each(questions, (what, why) => lacking.push(`${what}: ${why}`));
    const lines = accounts.map((one, at) => this.#linesOf(one, answers[2 * at]?.[0], answers[2 * at + 1]));
    const created = lines.map(({ create }) => create);
    const [toAll = []] = present.some(isPublic) ? await this.#each(["SHOW GRANTS FOR PUBLIC"], () => {}) : [];
    // the server also lists the rights of roles that PUBLIC has
    const forAll = toAll
      .map((line) => `${line};`)
      .filter((line) => ownerOf(line) === "PUBLIC" && line !== "GRANT USAGE ON *.* TO PUBLIC;");
    const all = [...created, ...lines.flatMap(({ rights }) => rights), ...forAll];
    // the server writes a certificate's subject as it is, whatever quotes are in it
    for (const line of all.filter((one) => !isOurs(one)))
      lacking.push(`${shown(line)}: it could not be read back safely`);
    // without its account, a grant is of no use
    const readable = new Set([...created.filter(isOurs).map(ownerOf), "PUBLIC"]);
    return { statements: all.filter((line) => isOurs(line) && readable.has(ownerOf(line))), lacking };
  }

  /** By what the server shows of its creation and its rights. */
  #linesOf(one: Account, shownCreate = "", shownGrants: readonly string[] = []): { create: string; rights: string[] } {
    const name = this.#nameOf(one);
    const roles = / DEFAULT ROLE ((?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+)/.exec(shownCreate)?.[1];
    const grants = shownGrants.map((line) => `${withoutLogin(line)};`);
    return {
      create: this.#isMariadb && one.isRole ? `CREATE ROLE ${name};` : `${withoutDefaultRole(shownCreate)};`,
      rights: listOf(
        ...grants.filter((line) => ownerOf(line) === name && line !== `GRANT USAGE ON *.* TO ${name};`),
        roles && `ALTER USER ${name} DEFAULT ROLE ${roles};`,
      ),
    };
  }

  /** Whether the server can take a right on one database from a right on all of them. */
  async #revokesPartially(): Promise<boolean> {
    if (this.#isMariadb) return false;
    return (await query(this.#place, "SELECT @@partial_revokes"))[0]?.[0] === "1";
  }

  /** Returns what the server refused, each with its reason. */
  async #carryOut(statements: readonly string[]): Promise<string[]> {
    const refused: string[] = [];
    await this.#each(
      statements.map((line) => line.replace(/;$/, "")),
      (line, why) => refused.push(`${shown(line)}: ${why}`),
    );
    return refused;
  }

  /** Carries out each statement, whatever the server answers to the others. Throws `Failure` when it cannot answer. */
  async #each(statements: readonly string[], refused: (statement: string, why: string) => void): Promise<string[][]> {
    let session: Session | undefined;
    const answers: string[][] = [];
    for (const statement of statements) {
      try {
        session ??= this.#begin();
        answers.push((await session.ask(statement)).map(([line = ""]) => line));
      } catch (error) {
        this.#place.signal.throwIfAborted();
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

  #begin(): Session {
    const session = new Session(this.#place, "cannot read or change the server's accounts");
    // a GRANT to an account that could not be created would create it, without a password; MySQL does not know that mode
    if (this.#isMariadb) session.write("SET SESSION sql_mode = 'NO_AUTO_CREATE_USER';\n");
    // MySQL writes hashes as they are otherwise, with control characters
    else session.write(`${plainMode}SET print_identified_with_as_hex = 1;\n`);
    return session;
  }
}
