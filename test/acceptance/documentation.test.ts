/** Shell requirement 7: DOCUMENTATION.md says what is there, and its commands, run as they stand, do what it says. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Cron } from "croner";
import { scripts } from "../../scripts-src/scripts/scripts.ts";
import { settingNames, secretNames, aboutSetting } from "../../scripts-src/settings/settings.ts";
import { providers } from "../../scripts-src/manual/providers.ts";
import { type Block, blocks, documentation, tableAfter } from "../support/expect/documentation.ts";
import type { Ran } from "../support/machine/executables.ts";
import { type Family, families } from "../support/servers/mysql.ts";
import { mysqlDir, mysqlRoot } from "../support/servers/mysql-programs.ts";
import { canHaveMachine, type Machine, openMachine } from "./machine.ts";
import { describeWhere } from "../support/machine/where.ts";

const root = resolve(import.meta.dir, "../..");
const flowing = (text: string) => text.replaceAll(/\s+/g, " ");

test("shell 7.1: DOCUMENTATION.md lies in the backup_scripts folder", () => {
  expect(existsSync(resolve(root, "backup_scripts/DOCUMENTATION.md"))).toBeTrue();
});

test("shell 7.2: the purpose of each script", async () => {
  for (const [name, load] of Object.entries(scripts)) {
    const { summary } = await load();
    const row = tableAfter("<!-- generated: scripts -->").find(([script]) => script?.startsWith(`\`${name} `));
    expect(row?.[1]).toBe(flowing(summary));
  }
});

test("shell 7.3, 7.4: steps of a set-up, manual runs, and cron jobs, each with commands", () => {
  const headings = documentation.match(/^###? .*$/gm) ?? [];
  for (const heading of ["## 1. Set it up", "### 1.10 By hand", "## 3. Restore", "### 5.1 Cron"])
    expect(headings).toContain(heading);
  for (const chapter of [1, 3, 5]) expect(blocks.filter((block) => block.chapter === chapter)).not.toBeEmpty();
});

test("shell 7.5: every setting with its meaning, values and default; secret ones are marked", () => {
  for (const name of settingNames) {
    const { meaning, values = "", default: standard = "" } = aboutSetting(name);
    const mark = secretNames.includes(name) ? " *" : "";
    expect(documentation).toContain(`\n| \`${name}\`${mark} | ${meaning} | ${values} | ${standard} |\n`);
  }
});

/** How GitHub names the headings of a text. */
const anchorsOf = (text: string) =>
  (text.match(/^#+ .*$/gm) ?? []).map((heading) =>
    heading
      .replace(/^#+ /, "")
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );

test.each(["backup_scripts/DOCUMENTATION.md", "README.md", "CONTRIBUTING.md", "container/README.md"])(
  "%s: every link leads somewhere",
  (file) => {
    const text = readFileSync(resolve(root, file), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const linked = resolve(root, dirname(file), path);
      expect(path === "" || existsSync(linked), target).toBeTrue();
      if (anchor !== undefined) expect(anchorsOf(path === "" ? text : readFileSync(linked, "utf8"))).toContain(anchor);
    }
  },
);

test("every block of commands is run by a test or says why not", () => {
  const reasons = blocks.filter(({ mark }) => mark.startsWith("not run: ")).map(({ mark }) => mark.slice(9));
  expect(reasons).toEqual([
    "needs a package repository; the tests install the same package",
    "the tests themselves begin with these two",
    "an editor; the tests put the lines below into the file",
    "needs an AWS account",
    "needs systemd as process 1; the tests check both units with systemd-analyze",
    "needs Docker; test/container builds the image and runs docker-compose.yml",
    "needs a cluster; test/container checks the manifest",
  ]);
  const ci = readFileSync(resolve(root, ".ci/run"), "utf8");
  expect(ci).toContain("bun install --frozen-lockfile");
  const { packageManager } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8")) as Record<string, string>;
  expect(documentation).toContain(`npx --yes ${packageManager} run build`);
});

test.each([
  "back up several databases",
  "get one table back",
  "leave out a big table",
  "keep 7 daily, 4 weekly and 12 monthly",
  "encrypt backups",
  "certificate authority of my own",
  "upgrade this program",
  "which backups are in the bucket",
])("N14: How do I … %s?", (question) => {
  const answers = documentation.split(/^### … /m).slice(1);
  const answer = answers.find((one) => one.split("\n")[0]?.includes(question)) ?? "";
  expect(answer.split("\n").slice(1).join(" ").trim().length).toBeGreaterThan(60);
});

test("what each provider needs", () => {
  const written = blocks.filter(({ mark }) => mark === "settings of a provider").map(({ text }) => text);
  expect(written).toEqual(providers.map(({ lines }) => lines.map((line) => `${line}\n`).join("")));
});

const crontab = blocks.find(({ mark }) => mark === "a crontab")?.text ?? "";
const cronFile = blocks.find(({ text }) => text.includes("tee /etc/cron.d/"))?.text ?? "";
const cronLine = /^((?:\S+ ){5})(\w+) (\/.*)$/gm;

test("every cron line is a time that comes, and a script; N4: none hides a program that cannot start", () => {
  const lines = [...crontab.matchAll(cronLine), ...cronFile.matchAll(cronLine)];
  expect(lines).toHaveLength(6);
  for (const [, times = "", , command = ""] of lines) {
    expect(new Cron(times.trim(), { paused: true }).nextRun()).toBeInstanceOf(Date);
    expect(Object.keys(scripts)).toContain(/^\/opt\/backup_scripts\/(\w+)/.exec(command)?.[1] ?? "");
    // stderr goes to cron's mail, or with everything else into a log file
    if (command.includes("2>&1")) expect(command).toMatch(/>>\/\S+ 2>&1$/);
  }
});

/** Hosts of the server that is lost and of the new one, and how they are reached. */
const servers = {
  mariadb: { lost: "db.example.com", fresh: "new.example.com", client: "mariadb", clientDir: "" },
  mysql: {
    lost: "mysql.example.com",
    fresh: "new-mysql.example.com",
    client: "/opt/mysql/mysql",
    clientDir: "\nDB_CLIENT_DIR='/opt/mysql'",
  },
};
/** Where every user of the machine can run MySQL's programs, whatever folder this project lies in. */
const mountMysql = [
  [mysqlDir, "/opt/mysql"],
  [mysqlRoot, "/opt/mysql-root"],
]
  .map(([from, to]) => `mkdir ${to} && mount --bind '${from}' ${to}`)
  .join("\n");

describeWhere(canHaveMachine, "name spaces")("word for word, on a machine of its own", () => {
  let machine: Machine;
  /** The administrators' passwords on the servers that are lost, and on the new ones. */
  let facts: { passwords: Record<"postgresql" | Family, [lost: string, fresh: string]>; key: string; secret: string };
  let walk: Ran;
  /** What each block printed, by its line. */
  let printed: Map<number, string>;

  beforeAll(async () => {
    machine = await openMachine({
      "127.0.0.1": ["db.example.com", "s3.example.com", "smtp.example.com"],
      "127.0.0.2": ["new.example.com"],
      "127.0.0.3": ["mysql.example.com"],
      "127.0.0.4": ["new-mysql.example.com"],
    });
    const world = machine.serve([process.execPath, resolve(import.meta.dir, "documentation-world.ts")]);
    facts = JSON.parse((await world.next()).value as string) as typeof facts;
    walk = await machine.shell(wholeWalk(), environment());
    printed = byBlock(walk.stdout);
  }, 600_000);
  afterAll(() => machine.close());

  /** What a person would type when asked, or has from elsewhere. */
  const environment = () => ({
    AWS_ENDPOINT_URL: "http://s3.example.com:9000",
    AWS_ACCESS_KEY_ID: facts.key,
    AWS_SECRET_ACCESS_KEY: facts.secret,
    AWS_DEFAULT_REGION: "us-east-1",
    PGPASSFILE: "/opt/pgpass",
    MYSQL_PWD: "the-password-of-app",
  });

  // the AWS CLI knows AWS_ENDPOINT_URL only since 2.13
  const prepare = () => `
    printf '%s:*:*:postgres:%s\n' db.example.com '${facts.passwords.postgresql[0]}' new.example.com '${facts.passwords.postgresql[1]}' > /opt/pgpass
    printf '*:*:*:app:the-password-of-app\n' >> /opt/pgpass
    chmod 600 /opt/pgpass
    aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }`;

  /** The example's names become those of the servers that are here. */
  const here = (text: string) =>
    text
      .replaceAll("https://s3.example.com", "http://s3.example.com:9000")
      .replaceAll("the-access-key", facts.key)
      .replaceAll("the-secret-key", facts.secret);

  /** All that is run, as one person in one shell: everything before the disaster, then chapter 4 for each engine, and without the program. */
  function wholeWalk(): string {
    const run = blocks.filter(
      ({ language, mark }) => language === "sh" && !/^not run|^MariaDB|^MySQL|^a pair|^a signature/.test(mark),
    );
    const chapter4 = run.filter(({ chapter }) => chapter === 4);
    const without = chapter4.filter(({ text }) => /PGHOST|restoreCommand/.test(text));
    const withProgram = chapter4.filter((block) => !without.includes(block));
    const administrator = (engine: "postgresql" | Family) => (text: string) =>
      text.replace("the-password-of-the-administrator", facts.passwords[engine][1]);
    const others = families.flatMap((family) => [
      "rm /opt/backup_scripts/*.env.sh",
      ...withProgram
        .map(asShell)
        .map(administrator(family))
        .map((commands) => forFamily(family, commands)),
      `${servers[family].client} -h ${servers[family].fresh} -u app app -Ne "SELECT concat('restored into ${family}: ', count(*)) FROM orders"`,
    ]);
    return [
      prepare(),
      families.includes("mysql") ? mountMysql : "",
      ...run.filter(({ chapter, mark }) => chapter !== 4 && mark !== "settings of a provider").map(asShell),
      asCron,
      ...families.map(backUp),
      "rm -r /var/backups/app/* /opt/backup_scripts/*.env.sh",
      ...withProgram.map(asShell).map(administrator("postgresql")),
      "psql -h new.example.com -U app -d app -Atc \"SELECT 'restored with it: ' || count(*) FROM orders\"",
      ...others,
      "psql -q -h new.example.com -U postgres -c 'DROP DATABASE app' -c 'DROP ROLE app'",
      "cd $(mktemp -d)",
      ...without.map(asShell),
      "psql -h new.example.com -U app -d app -Atc \"SELECT 'restored without it: ' || count(*) FROM orders\"",
    ].join("\n");
  }

  /** The other servers of the example have a user that may only read, and a backup in S3. */
  function backUp(family: Family): string {
    const { lost, client, clientDir } = servers[family];
    const grants = blocks.find(({ mark }) => mark === { mariadb: "MariaDB", mysql: "MySQL" }[family])?.text ?? "";
    const asHere = grants
      .replace(/^\w+/, client)
      .replace("db.example.com", lost)
      .replace(" -p ", ` -p'${facts.passwords[family][0]}' `);
    return `
      ${asHere}
      install -m 640 -g backup_scripts /dev/null /opt/backup_scripts/${family}.env.sh
      cat > /opt/backup_scripts/${family}.env.sh <<EOF
DB_TYPE='${family}'${clientDir}
DB_HOST='${lost}'
DB_NAME='app'
DB_USER='backup_reader'
DB_PASSWORD='a-long-random-password'
BACKUP_ROLES='true'
BACKUP_DIR='/var/backups/app'
S3_URL='http://s3.example.com:9000'
S3_BUCKET='my-backups'
S3_PATH='${family}'
S3_ACCESS_KEY='${facts.key}'
S3_SECRET_KEY='${facts.secret}'
EOF
      sudo -u backup_scripts /opt/backup_scripts/backup --env-file /opt/backup_scripts/${family}.env.sh --upload`;
  }

  /** What a person changes on the page for the worst day, as it says. */
  const forFamily = (family: Family, commands: string) =>
    commands
      .replace("DB_TYPE='postgresql'", `DB_TYPE='${family}'${servers[family].clientDir}`)
      .replace("DB_HOST='new.example.com'", `DB_HOST='${servers[family].fresh}'`)
      .replace("DB_USER='postgres'", "DB_USER='root'")
      .replace("S3_PATH='app'", `S3_PATH='${family}'`)
      .replace(
        /^psql.*$/m,
        `${servers[family].client} -h ${servers[family].fresh} -u app app -e 'SELECT count(*) FROM orders'`,
      );

  function asShell({ mark, text, line }: Block): string {
    const files = /^settings of (.*)$/.exec(mark)?.[1]?.split(" ") ?? [];
    const commands = files.length === 0 ? here(text) : files.map((file) => fillIn(file, here(text))).join("\n");
    return `printf '\\0%s\\n' ${line}\n${commands}`;
  }

  /** What a person does in an editor: the line that is there, commented out or not, gets the value; else it is a new one. */
  const fillIn = (file: string, lines: string) =>
    (lines.includes("SMTP_HOST") ? `${lines}SMTP_SECURITY='none'\n` : lines)
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const name = line.split("=")[0] ?? "";
        return `if grep -q "^#*${name}=" ${file}; then sed -i "0,/^#*${name}=/s|^#*${name}=.*|${line}|" ${file}; else echo "${line}" >> ${file}; fi`;
      })
      .join("\n");

  /** What cron would do: the jobs of both files, with the little that cron puts into the environment. */
  const asCron = [...crontab.matchAll(cronLine), ...cronFile.matchAll(cronLine)]
    .map(
      ([, , user, command]) =>
        `env -i HOME=/ LOGNAME=${user} SHELL=/bin/sh PATH=/usr/bin:/bin "$(command -v sudo)" -u ${user} /bin/sh -c '${command}'`,
    )
    .join("\n");

  const byBlock = (output: string) =>
    new Map(
      output
        .split("\0")
        .slice(1)
        .map((part) => [Number.parseInt(part, 10), part.replace(/^\d+\n/, "")]),
    );

  /** What the block that holds `words` printed. */
  const outputOf = (words: string) => printed.get(blocks.find(({ text }) => text.includes(words))?.line ?? 0) ?? "";

  test("every command does its work, without a warning but that the page for the worst day uses a superuser", () => {
    expect(walk.status, walk.stderr).toBe(0);
    const warnings = walk.stderr.split("\n").filter((line) => / (WARN|ERROR) /.test(line));
    expect(warnings).toEqual([expect.stringContaining("WARN restore: the login is a superuser")]);
  });

  test("README: pg_dump | gzip | aws s3 cp stores a truncated object, and without pipefail nobody hears of it", async () => {
    const pipe = (key: string) =>
      `pg_dump -h db.example.com -U postgres -d no_such_database | gzip | aws s3 cp - s3://my-backups/${key}`;
    const { stdout } = await machine.shell(
      `${prepare()}\n${pipe("one")} && echo "status 0"\nbash -o pipefail -c '${pipe("two").replace("aws", 'aws --endpoint-url "$AWS_ENDPOINT_URL"')}' || echo "status not 0"\naws s3 ls s3://my-backups/`,
      environment(),
    );
    expect(stdout).toContain("status 0\n");
    expect(stdout).toContain("status not 0\n");
    expect(stdout).toMatch(/ 20 one\n[\s\S]* 20 two\n/);
  });

  test("1.7, 1.8: the backups are in the bucket, the test notice has arrived", async () => {
    const { stdout } = await machine.shell(
      `exec '${process.execPath}' -e 'console.log(await (await fetch("http://127.0.0.1:8025")).text())'`,
    );
    const { mails, objects } = JSON.parse(stdout) as { mails: { to: string[]; subject: string }[]; objects: string[] };
    expect(mails).toEqual([{ to: ["admin@example.com"], subject: expect.stringMatching(/^TEST: notice from /) }]);
    const backups = objects.filter((key) => key.includes("/"));
    expect(backups).not.toBeEmpty();
    for (const key of backups)
      expect(key).toMatch(
        /^(app|mariadb|mysql)\/(app|@roles)_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d)?\.sql\.gz((\.proof)?\.json)?$/,
      );
  });

  test("5.2: systemd finds nothing wrong with both units", async () => {
    const checked = await machine.shell("systemd-analyze verify /etc/systemd/system/backup_scripts.timer");
    expect(checked).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  test("4: the databases are back on new servers of every engine, with this program and without it", () => {
    expect(walk.stdout).toContain("\nrestored with it: 1000\n");
    for (const family of families) expect(walk.stdout).toContain(`\nrestored into ${family}: 1000\n`);
    expect(walk.stdout).toContain("\nrestored without it: 1000\n");
  });

  test("4: both sums are the same, and the manifest's command is the one that is shown", () => {
    const [, sum] = /^([0-9a-f]{64})\n\1 {2}app_/m.exec(outputOf("sha256sum")) ?? [];
    expect(sum).toBeDefined();
    const [, command = ""] = /"restoreCommand": "(.*)"/.exec(outputOf("restoreCommand")) ?? [];
    const shown = blocks.find(({ text }) => text.includes("restoreCommand"))?.text.split("\n")[1];
    expect(command.replace(/app_\S+/, '"$file"')).toBe(shown ?? "");
  });

  test("1.5: the checklist looks as shown", () => {
    const shown = blocks.find(({ text, language }) => language === "text" && text.includes("✓ privileges"))?.text ?? "";
    const vague = (text: string) =>
      text.replaceAll(/[\d.]+ (?:[KMGT]i)?B\b/g, "SIZE").replaceAll(/(?<=SQL |pg_dump )[\d.]+/g, "VERSION");
    expect(vague(outputOf("backup --dry-run\n"))).toBe(vague(shown));
  });
});
