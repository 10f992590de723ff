/** The statements by which MySQL and MariaDB write accounts, roles and their rights; pure. */

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
export const ownerOf = (statement: string): string =>
  Object.values(forms)
    .map((form) => form.exec(statement)?.[1])
    .find((owner) => owner !== undefined) ?? "";

const everything = / ON \*\.\* TO /;

/** An account has it from its creation until a restore has given it all its rights. No such table exists, so it allows nothing. */
export const unfinishedMark = "CREATE ON `backup_scripts`.`unfinished_restore`";
export const isMark = (line: string) => line.startsWith(`GRANT ${unfinishedMark} TO `);

export const isCreate = (line: string) => forms.create.test(line);

/**
 * Accounts are `unfinished` that bear the mark, or that are as the backup creates them and have no right: the restore was interrupted
 * before it could mark them. From others somebody can have taken a right away since: what they lack is only reported.
 */
export function unfinishedOf(statements: readonly string[], present: readonly string[]) {
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

export const withoutDefaultRole = (create: string) =>
  create.replace(/ DEFAULT ROLE (?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+/, "");

/** MariaDB writes the password and limits of an account into its grants, where they would change what CREATE USER has set. */
export function withoutLogin(grant: string): string {
  const [, start = grant, rest = ""] = new RegExp(`^(GRANT .* TO ${account})( .*)?$`, "s").exec(grant) ?? [];
  const option =
    / WITH (?:GRANT|ADMIN) OPTION/.exec(rest)?.[0] ?? (/ WITH .*GRANT OPTION/.test(rest) ? " WITH GRANT OPTION" : "");
  return start + option;
}

/** A right on everything without the REVOKE that belongs to it would be more than the account had. */
export function withoutHalf(statements: readonly string[], canRevoke: boolean): { kept: string[]; warnings: string[] } {
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

export const isSuper = (line: string) =>
  everything.test(line) && /^GRANT .*\b(?:ALL PRIVILEGES|SUPER|CREATE USER)\b/.test(line);

/** Without its password. */
export const shown = (line: string) => line.replace(/^(CREATE USER `(?:[^`]|``)*`@`(?:[^`]|``)*`).*$/s, "$1");
