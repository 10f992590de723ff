import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingSettings } from "../../scripts-src/settings/env-rules.ts";
import { readSettings } from "../../scripts-src/settings/env.ts";
import { redact } from "../../scripts-src/base/secrets.ts";
import { testWhere } from "../support/machine/where.ts";

const home = mkdtempSync(join(tmpdir(), "env-"));
const file = join(home, ".env.sh");
afterAll(() => rmSync(home, { recursive: true, force: true }));
beforeEach(() => rmSync(file, { force: true }));

function write(content: string, path = file): string {
  writeFileSync(path, content);
  chmodSync(path, 0o600);
  return path;
}

function read(content: string | undefined, environment: Record<string, string | undefined> = {}) {
  if (content !== undefined) write(content);
  return readSettings({ home, environment });
}

describe("sources", () => {
  test("the file's values are read, empty ones count as not set", () => {
    const { settings, problems, warnings, fileExists } = read(
      "DB_NAME='app'\nexport DB_PORT=5433\nS3_PATH=\nS3_URL=''\n",
    );
    expect({ problems, warnings, fileExists }).toEqual({ problems: [], warnings: [], fileExists: true });
    expect(settings).toMatchObject({ DB_NAME: "app", DB_PORT: 5433, S3_PATH: "" });
    expect(settings.S3_URL).toBeUndefined();
  });

  test("N7: what Kubernetes sets for its Services is no setting, and no misspelt one", () => {
    const links = (service: string) => ({
      [`${service}_PORT`]: "tcp://10.0.0.1:5432",
      [`${service}_PORT_5432_TCP`]: "tcp://10.0.0.1:5432",
      [`${service}_PORT_5432_TCP_ADDR`]: "10.0.0.1",
      [`${service}_SERVICE_HOST`]: "10.0.0.1",
      [`${service}_SERVICE_PORT`]: "5432",
    });
    const environment = {
      ...links("DB"),
      ...links("SMTP"),
      ...links("S3"),
      ...links("LOG"),
      DB_HOST: "db",
      DB_NAME: "app",
    };
    const { settings, problems, warnings } = read("SMTP_PORT=2525\n", environment);
    expect(problems).toEqual([]);
    expect(settings).toMatchObject({ DB_HOST: "db", SMTP_PORT: 2525 });
    expect(settings.DB_PORT).toBeUndefined();
    expect(warnings).toEqual(
      ["DB", "SMTP"].map((service) =>
        expect.stringMatching(
          new RegExp(
            `^${service}_PORT \\(environment\\): tcp://10.0.0.1:5432 is ignored: .* Service named ${service.toLowerCase()}; .*enableServiceLinks: false`,
          ),
        ),
      ),
    );
    expect(read("", { DB_PORT: "tcp:5432" }).problems).toHaveLength(1);
  });

  test("the environment wins, and a note names what it overrides; an empty variable overrides nothing", () => {
    const content = "DB_NAME='app'\nDB_HOST='db'\nLOG_LEVEL='warn'\nDB_USER=same\n";
    const { settings, notes } = read(content, { DB_NAME: "other", DB_HOST: "", LOG_LEVEL: undefined, DB_USER: "same" });
    expect(settings).toMatchObject({ DB_NAME: "other", DB_HOST: "db", LOG_LEVEL: "warn" });
    expect(notes).toEqual([`DB_NAME (${file} line 1): overridden by DB_NAME of the environment`]);
  });

  test("a reference means what it means to a shell that reads the file: an earlier line before the environment", () => {
    const { settings, problems, warnings } = read('DB_NAME=app\nAREA=eu\nS3_PATH="$AREA/$DB_NAME/${HOST_ID}"\n', {
      DB_NAME: "other",
      HOST_ID: "h1",
    });
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(settings).toMatchObject({ DB_NAME: "other", S3_PATH: "eu/app/h1" });
  });

  test("a file that is not there is a problem only when it was named", () => {
    expect(read(undefined)).toMatchObject({ file, fileExists: false, problems: [], broken: new Set() });
    const other = join(home, "other.sh");
    const problem = `${other}: no such settings file; name one that exists in --env-file or BACKUP_ENV_FILE`;
    expect(readSettings({ home, envFile: other, environment: {} }).problems).toEqual([problem]);
    expect(readSettings({ home, environment: { BACKUP_ENV_FILE: other } }).problems).toEqual([problem]);
  });

  test("--env-file comes before BACKUP_ENV_FILE, and that before .env.sh", () => {
    write("SITE_NAME=default\n");
    const one = write("SITE_NAME=one\n", join(home, "one.sh"));
    const two = write("SITE_NAME=two\n", join(home, "two.sh"));
    const environment = { BACKUP_ENV_FILE: two };
    expect(readSettings({ home, environment: {} }).settings.SITE_NAME).toBe("default");
    expect(readSettings({ home, environment }).settings.SITE_NAME).toBe("two");
    expect(readSettings({ home, envFile: one, environment }).settings.SITE_NAME).toBe("one");
  });

  test("a folder in the place of the file is a problem, and what it might hold is not reported as missing", () => {
    const { problems, broken, settings } = readSettings({ home, envFile: home, environment: { DB_NAME: "app" } });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toBe(`${home}: is a folder; name the settings file in it`);
    expect(settings.DB_NAME).toBe("app");
    expect(missingSettings(settings, ["storage", "schedule"], broken)).toEqual([]);
  });

  test("a setting that the file sets twice earns a warning, the last one counts", () => {
    const { settings, warnings } = read("DB_NAME=a\nDB_NAME=b\n");
    expect(settings.DB_NAME).toBe("b");
    expect(warnings).toEqual([`DB_NAME (${file} line 2): already set at ${file} line 1; the last one counts`]);
  });
});

describe("who may write and read the file", () => {
  for (const [mode, refused, warned] of [
    [0o600, false, false],
    [0o400, false, false],
    [0o640, false, false],
    [0o644, false, true],
    [0o660, false, false], // its group is that of this process
    [0o602, true, false],
    [0o666, true, false],
  ] as const)
    test(`mode ${mode.toString(8)}: ${refused ? "refused" : warned ? "warning" : "fine"}`, () => {
      write("SITE_NAME=mine\n");
      chmodSync(file, mode);
      const { settings, problems, warnings, broken } = readSettings({ home, environment: {} });
      expect(problems).toEqual(
        refused
          ? [`${file}: other users can change this file: every user can write to ${file}; run: chmod o-w ${file}`]
          : [],
      );
      expect(warnings).toEqual(
        warned ? [`${file}: every user of this machine can read it; run: chmod 600 ${file}`] : [],
      );
      expect(settings.SITE_NAME === "mine").toBe(!refused);
      expect(broken.has("SITE_NAME")).toBe(refused);
    });

  testWhere(process.getuid?.() === 0, "root")("its owner may, so it is ours or root's", () => {
    write("SITE_NAME=mine\n");
    chownSync(file, 65_534, 0);
    const { settings, problems } = readSettings({ home, environment: {} });
    const cause = `${file}: other users can change this file: ${file} belongs to user 65534, who can change it; run as that user (sudo -u '#65534' ...), or as root: chown 0 ${file}`;
    expect(problems).toEqual([cause]);
    expect(settings.SITE_NAME).not.toBe("mine");
  });
});

describe("problems name the setting, where it stands, the cause and the remedy", () => {
  const cases: [title: string, content: string, environment: Record<string, string>, problems: string[]][] = [
    [
      "a value that breaks its rule, in the file",
      "\nDB_PORT=99999\n",
      {},
      [`DB_PORT (${file} line 2): must be a whole number from 1 to 65535, for example 5432`],
    ],
    [
      "a value that breaks its rule, in the environment",
      "",
      { LOG_FORMAT: "xml", S3_URL: "s3.example.com" },
      [
        "S3_URL (environment): must be a URL that starts with http:// or https://, for example https://s3.example.com",
        "LOG_FORMAT (environment): must be one of text, json",
      ],
    ],
    [
      "a login in the address of the storage, which the log would show",
      "",
      { S3_URL: "https://key:secret@s3.example.com" },
      [
        "S3_URL (environment): must be a URL without user and password: keys stand in S3_ACCESS_KEY and S3_SECRET_KEY, for example https://s3.example.com",
      ],
    ],
    [
      "a time zone that there is not, which says what one looks like once",
      "",
      { BACKUP_TIMEZONE: "Mars" },
      ["BACKUP_TIMEZONE (environment): must be a time zone name such as UTC or Europe/Berlin"],
    ],
    [
      "an address that is none, and no address at all",
      "",
      { EMAIL_FROM: "backup", EMAIL_TO: " , " },
      [
        "EMAIL_FROM (environment): must be mail addresses separated by commas, for example backup@example.com",
        "EMAIL_TO (environment): must be mail addresses separated by commas, for example admin@example.com, oncall@example.com",
      ],
    ],
    [
      "a line that sh would read otherwise",
      'SITE_NAME=ok\nDB_PASSWORD="pa$$word"\n',
      {},
      [
        `DB_PASSWORD (${file} line 2): a $ begins neither \${NAME} nor $NAME; write the value of that expression; if the $ belongs to the value, put the value in single quotes`,
      ],
    ],
    [
      "a misspelt setting of the file",
      "S3_BUKCET=b\n",
      {},
      [`S3_BUKCET (${file} line 1): there is no such setting; did you mean S3_BUCKET?`],
    ],
    [
      "a misspelt setting of the environment",
      "",
      { EMAIL_NOTIFY_MOD: "NEVER", S3_SECRET_KEY_FLIE: "/x" },
      [
        "EMAIL_NOTIFY_MOD (environment): there is no such setting; did you mean EMAIL_NOTIFY_MODE?",
        "S3_SECRET_KEY_FLIE (environment): there is no such setting; did you mean S3_SECRET_KEY_FILE?",
      ],
    ],
    [
      "a file for a setting that is no secret",
      "DB_USER_FILE=/run/secrets/user\n",
      {},
      [`DB_USER_FILE (${file} line 1): only secrets are read from files; set DB_USER itself`],
    ],
    [
      "a database named twice",
      "DB_HOST=db\nDB_NAME=app\n",
      { DATABASE_URL: "postgres://db/app" },
      [
        `DATABASE_URL (environment), DB_HOST (${file} line 1), DB_NAME (${file} line 2): the database is named in more than one way; keep one of DATABASE_URL, POSTGRES_CONNECTION_STRING and the DB_* settings`,
      ],
    ],
    [
      "an unknown kind of database; a page in no bucket",
      "VERIFY_DATABASE_URL=scratch.example.com\nREPORT_FILE=s3://b/report.html\n",
      { DATABASE_URL: "oracle://u:topsecret@db/app" },
      [
        "DATABASE_URL (environment): the kind of database is unknown; begin it with postgres://, postgresql://, mysql://, mariadb://",
        `VERIFY_DATABASE_URL (${file} line 1): the kind of database is unknown; begin it with postgres://, postgresql://, mysql://, mariadb://`,
        `REPORT_FILE (${file} line 2): it must lie below S3_PATH; set S3_BUCKET`,
      ],
    ],
    [
      "half of a pair",
      "S3_ACCESS_KEY=a\n",
      { SMTP_PASSWORD: "topsecret" },
      [
        `S3_ACCESS_KEY (${file} line 1): set without S3_SECRET_KEY; set both, or neither, to use AWS's own chain (profile, instance role)`,
        "SMTP_PASSWORD (environment): set without SMTP_USER; set both, or neither, to send without a login",
      ],
    ],
    [
      "a level that no compression has",
      "BACKUP_COMPRESSION_LEVEL=0\n",
      {},
      [
        `BACKUP_COMPRESSION_LEVEL (${file} line 1): must be a whole number from 1 to 12 for gzip, from 1 to 19 for zstd, for example 6`,
      ],
    ],
    [
      "a level that the compression does not have",
      "BACKUP_COMPRESSION_LEVEL=13\n",
      {},
      [`BACKUP_COMPRESSION_LEVEL (${file} line 1): too high for gzip; set it to 1 to 12`],
    ],
  ];
  for (const [title, content, environment, problems] of cases)
    test(title, () => {
      expect(read(content, environment).problems).toEqual(problems);
      expect(problems.join()).not.toContain("topsecret");
    });

  test("all of them at once, and what is in order is still read", () => {
    const { problems, settings, broken } = read(
      "DB_PORT=x\nLOG_LEVEL=loud\nSMTP_HOST='m'\nDB_NAME=a b\nEMAIL_TO=a@b\n",
    );
    expect(problems).toHaveLength(3);
    expect(broken).toEqual(new Set(["DB_PORT", "LOG_LEVEL", "DB_NAME"]));
    expect(settings).toMatchObject({ SMTP_HOST: "m", EMAIL_TO: ["a@b"], LOG_LEVEL: "info" });
  });

  test("a comma too many between mail addresses is none too few", () => {
    const { problems, settings } = read("EMAIL_TO='a@x,,b@x, '\nEMAIL_FROM='backup@x,'\n");
    expect(problems).toEqual([]);
    expect(settings).toMatchObject({ EMAIL_TO: ["a@x", "b@x"], EMAIL_FROM: "backup@x" });
  });

  test("a line that cannot be understood and sets no known setting is not quoted", () => {
    const { problems, warnings } = read("DB_PASSWORD='first\nTOPSECRET two'\nTOPSECRET3=x\n");
    expect(problems).toHaveLength(2);
    expect([...problems, ...warnings].join()).not.toContain("TOPSECRET");
  });
});

describe("names of others", () => {
  test("a name in the file that is no setting earns a warning, unless another line uses it", () => {
    const { problems, warnings } = read('AREA=eu\nS3_PATH="$AREA"\nAWS_PROFILE=x\n');
    expect(problems).toEqual([]);
    expect(warnings).toEqual([`AWS_PROFILE (${file} line 3): not a setting of this program; ignored`]);
  });

  const others =
    `POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_HOST PGHOST PGPASSWORD DB DB_PASS DB_PATH DB_URL DB_DATABASE
    DB_USERNAME DB_HOSTNAME DB_CONNECTION DB_ROOT_PASSWORD DB_POOL DB_SSL DB1_HOST DB2_HOST DATABASE_HOST DATABASE_USER
    MYSQL_ROOT_PASSWORD MYSQL_USER TEST_DATABASE_URL AWS_REGION AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN S3_KEY S3_SECRET
    S3_ENDPOINT S3_HOST S3_PREFIX S3_ACCESS_KEY_ID SMTP_PASS SMTP_FROM SMTP_SERVER SMTP_USERNAME SMTP_TLS MAIL_HOST
    EMAIL EMAIL_HOST EMAIL_PORT EMAIL_USER LOG_FILE LOG_DIR SITE_URL HOSTNAME BACKUP_PATH BACKUP_SCHEDULE METRICS_PORT
    WEBHOOK_URL TZ PATH HOME NODE_ENV REDIS_URL PORT HOST USER LANG`.split(/\s+/);
  test("common variables of other programs raise nothing", () => {
    const environment = Object.fromEntries(others.map((name) => [name, "x"]));
    expect(read("", environment)).toMatchObject({ problems: [], warnings: [], notes: [] });
  });

  test("those that lie closest, and those whose meaning is already set, earn a warning only", () => {
    const { problems, warnings } = read("S3_BUCKET=b\nDB_NAME=app\n", {
      MAIL_TO: "x",
      S3_BUKCET: "c",
      DATABASE_URLS: "x",
    });
    expect(problems).toEqual([]);
    expect(warnings.map((line) => line.split(" ")[0])).toEqual(["MAIL_TO", "S3_BUKCET", "DATABASE_URLS"]);
  });
});

describe("secrets from files", () => {
  const secretFile = join(home, "secret");

  test("one line end at the end is not part of the secret; a relative path starts at the executables", () => {
    for (const [content, value] of [
      ["pass word", "pass word"],
      ["pass word\n", "pass word"],
      ["pass word \r\n", "pass word "],
      [" $'\"#\\`é\n", " $'\"#\\`é"],
    ] as const) {
      writeFileSync(secretFile, content);
      for (const path of [secretFile, "secret"])
        expect(read("", { DB_PASSWORD_FILE: path })).toMatchObject({ problems: [], settings: { DB_PASSWORD: value } });
    }
  });

  test("the environment's way overrides the file's way", () => {
    writeFileSync(secretFile, "from-a-file\n");
    const byValue = read(`DB_PASSWORD_FILE=${secretFile}\n`, { DB_PASSWORD: "direct" });
    expect(byValue.settings.DB_PASSWORD).toBe("direct");
    expect(byValue.notes).toEqual([`DB_PASSWORD_FILE (${file} line 1): overridden by DB_PASSWORD of the environment`]);
    expect(read("DB_PASSWORD=direct\n", { DB_PASSWORD_FILE: secretFile }).settings.DB_PASSWORD).toBe("from-a-file");
  });

  test("N6: in the environment the value itself overrides the file, as docker compose run -e means it; a note says so", () => {
    const image = { DATABASE_URL_FILE: "/run/secrets/database_url" };
    const { settings, notes, problems } = read("", { ...image, DATABASE_URL: "postgres://me@other/app" });
    expect([problems, settings.DATABASE_URL]).toEqual([[], "postgres://me@other/app"]);
    expect(notes).toEqual(["DATABASE_URL_FILE (environment): overridden by DATABASE_URL of the environment"]);
  });

  test("both in the file are a problem", () => {
    const { problems, broken } = read(`DB_PASSWORD=a\nDB_PASSWORD_FILE=${secretFile}\n`);
    expect(problems).toEqual([`DB_PASSWORD (${file} line 1): DB_PASSWORD_FILE is set too; keep one of them`]);
    expect(broken).toEqual(new Set(["DB_PASSWORD"]));
  });

  test("a file that is absent, a folder, empty, of several lines or not text is a problem that names it", () => {
    const wrong: [path: string, content: string | Uint8Array | undefined, cause: string][] = [
      [join(home, "absent"), undefined, "cannot be read: ENOENT"],
      [home, undefined, `${home} is a folder, not a file. Docker makes one`],
      [join(home, "empty"), "\n", "is empty"],
      [join(home, "two"), "topsecret\nb\n", "more than one line"],
      [join(home, "binary"), Uint8Array.of(255, 254), "cannot be read"],
    ];
    for (const [path, content, cause] of wrong) {
      if (content !== undefined) writeFileSync(path, content);
      const { problems, broken, settings } = read("", { SMTP_USER: "u", SMTP_PASSWORD_FILE: path });
      expect(problems).toHaveLength(1);
      expect(problems[0]).toStartWith("SMTP_PASSWORD_FILE (environment): ");
      expect(problems[0]).toContain(cause);
      expect(problems[0]).not.toContain("topsecret");
      expect(broken).toEqual(new Set(["SMTP_PASSWORD"]));
      expect(settings.SMTP_PASSWORD).toBeUndefined();
    }
  });
});

test("secrets, and the passwords within URLs and connection strings, are hidden from the log", () => {
  const hidden = ["direct-secret", "url:pa@ss%25w", "p@ ss'w\\d", "unencoded", "q-password"];
  read("", {
    SMTP_PASSWORD: "direct-secret",
    DATABASE_URL: "postgres://me:url%3Apa%40ss%2525w@db.example.com:5432/app?password=q-password",
    POSTGRES_CONNECTION_STRING: "host=h password = 'p@ ss\\'w\\\\d' dbname=app",
    NOTIFY_WEBHOOK_URL: "https://me:unencoded@x/word@hook.example.com/",
  });
  for (const secret of hidden) expect(redact(`x ${secret} y`)).not.toContain(secret);
  expect(redact("db.example.com:5432/app")).toBe("db.example.com:5432/app");
});

const missing = (environment: Record<string, string>, needs: ("database" | "storage" | "schedule")[]) =>
  missingSettings(read("", environment).settings, needs).map((line) => line.split(":")[0]!);

describe("missing settings", () => {
  test("are listed at once, each with what it is for", () => {
    expect(missing({ EMAIL_NOTIFY_MODE: "FAILURE_ONLY" }, ["database", "storage", "schedule"])).toEqual([
      "DATABASE_URL, or POSTGRES_CONNECTION_STRING, or DB_NAME with DB_HOST, DB_USER and DB_PASSWORD",
      "S3_BUCKET",
      "BACKUP_INTERVAL",
      "EMAIL_FROM",
      "EMAIL_TO",
      "SMTP_HOST",
    ]);
    expect(missing({}, [])).toEqual([]);
    expect(missing({ DB_HOST: "db" }, ["database"])).toEqual(["DB_NAME"]);
    expect(missing({ DB_TYPE: "postgresql" }, ["database"])[0]).toStartWith("DATABASE_URL, or");
    expect(read("DB_TYPE=postgresql\n", { DATABASE_URL: "postgres://db/app" }).problems).toEqual([]);
    for (const way of ["DATABASE_URL", "POSTGRES_CONNECTION_STRING", "DB_NAME"])
      expect(missing({ [way]: "postgres://db/app" }, ["database"])).toEqual([]);
  });

  test("a webhook alone needs no mail", () => {
    const webhook = { EMAIL_NOTIFY_MODE: "FAILURE_ONLY", NOTIFY_WEBHOOK_URL: "https://hook.example.com/x" };
    expect(missing(webhook, [])).toEqual([]);
    expect(missing({ ...webhook, EMAIL_TO: "a@b" }, [])).toEqual(["EMAIL_FROM", "SMTP_HOST"]);
  });

  test("what is set but broken is not missing", () => {
    const { settings, broken } = read("DB_NAME=a b\nS3_BUCKET=`x`\n");
    expect(missingSettings(settings, ["database", "storage"], broken)).toEqual([]);
  });
});

test("a folder without anything is described with all defaults", () => {
  const empty = join(home, "empty-home");
  mkdirSync(empty);
  const { settings, problems } = readSettings({ home: empty, environment: {} });
  expect(problems).toEqual([]);
  expect(settings).toMatchObject({ BACKUP_DIR: "backups", EMAIL_NOTIFY_MODE: "NEVER", S3_REGION: "us-east-1" });
});
