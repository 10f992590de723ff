import { afterEach, beforeEach, expect, test } from "bun:test";
import { childEnvironment } from "../../scripts-src/base/process.ts";
import { cliEnvironment } from "../../scripts-src/storage/aws-cli.ts";
import { secretNames, settingNames, settingsFrom } from "../../scripts-src/settings/settings.ts";

const before = { ...process.env };
const restore = () => {
  for (const name of Object.keys(process.env)) delete process.env[name];
};
beforeEach(restore);
afterEach(() => {
  restore();
  Object.assign(process.env, before);
});

test("no setting of ours reaches a client program, least of all a secret one", () => {
  for (const name of settingNames) process.env[name] = process.env[`${name}_FILE`] = "x";
  expect(childEnvironment()).toEqual({ LC_MESSAGES: "C", LANGUAGE: "" });
  expect(secretNames.length).toBeGreaterThan(5);
});

test("secrets of other programs do not either", () => {
  for (const name of [
    "GITHUB_TOKEN",
    "STRIPE_KEY",
    "MYSQL_ROOT_PASSWORD",
    "POSTGRES_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
  ])
    process.env[name] = "x";
  for (const name of ["ZX_SHELL", "BASH_ENV", "ENV", "NODE_OPTIONS"]) process.env[name] = "x";
  expect(Object.keys(childEnvironment()).toSorted()).toEqual(["LANGUAGE", "LC_MESSAGES"]);
});

const needed =
  "PATH HOME USER LOGNAME TZ TMPDIR LANG LC_CTYPE LD_LIBRARY_PATH LD_PRELOAD PGSSLROOTCERT PGSERVICEFILE PGPASSFILE PGKRBSRVNAME KRB5CCNAME KRB5_CONFIG NSS_WRAPPER_PASSWD MYSQL_UNIX_PORT MYSQL_HOME MARIADB_PLUGIN_DIR SSL_CERT_FILE OPENSSL_CONF https_proxy HTTPS_PROXY NO_PROXY DOCKER_HOST";
test.each(needed.split(" "))("%s reaches a client program", (name) => {
  process.env[name] = "x";
  expect(childEnvironment()).toMatchObject({ [name]: "x" });
});

test("what is given wins, and messages are in English whatever LC_ALL says", () => {
  Object.assign(process.env, { LC_ALL: "de_DE.UTF-8", LC_CTYPE: "C", LANG: "fr_FR.UTF-8", PGUSER: "me" });
  const expected = { LANG: "de_DE.UTF-8", LC_MESSAGES: "C", LANGUAGE: "", PGUSER: "you" };
  expect(childEnvironment({ PGUSER: "you" })).toEqual(expected);
});

test("the AWS CLI gets its own variables, ours win", () => {
  Object.assign(process.env, { AWS_PROFILE: "work", AWS_CA_BUNDLE: "/ca", AWS_REGION: "x", GITHUB_TOKEN: "x" });
  const environment = cliEnvironment(settingsFrom({ S3_REGION: "eu-central-1" }));
  expect(environment).toMatchObject({ AWS_PROFILE: "work", AWS_CA_BUNDLE: "/ca", AWS_REGION: "eu-central-1" });
  expect(environment).not.toHaveProperty("GITHUB_TOKEN");
});
