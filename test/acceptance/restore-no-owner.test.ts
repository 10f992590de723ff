/** Recovery on a machine that lacks the roles of the original. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { createNasty } from "../support/expect/nasty.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let origin: PostgresServer;
let target: PostgresServer;
let scripts: Installation;

const plain = ["--no-owner", "--no-privileges"];
/** Things that name a role in their definition: they cannot exist without it. */
const rolesOnly = `DROP POLICY "read; only" ON public.secrets; DROP USER MAPPING FOR nasty_reader SERVER far`;

beforeAll(async () => {
  [origin, target] = await Promise.all([startPostgres(15), startPostgres(15)]);
  await createNasty(origin, "app");
  await target.createDatabase("app");
  scripts = installScripts(origin.settings("app"));
  expectSuccess(await scripts.run("backup"));
  scripts.configure(target.settings("app"));
});
afterAll(() => Promise.all([origin.stop(), target.stop()]));

test("without --no-owner every missing role is listed at once and nothing is changed", async () => {
  const before = await stateOf(target, "app");
  const ran = await scripts.run("restore");
  expectFailure(ran, /nasty_owner/);
  for (const role of ["nasty_reader", "Nasty Röle"]) expect(ran.stderr).toContain(role);
  expect(ran.stderr).toContain("--no-owner");
  await expectState(target, "app", before);
});

test("--no-owner restores all but ownership and privileges, and no line of data is lost", async () => {
  const ran = await scripts.run("restore", ["--no-owner"]);
  expectSuccess(ran);
  expect(ran.stderr).toMatch(/left out.*read; only/);
  await origin.sql("app", rolesOnly);
  await expectState(target, "app", await stateOf(origin, "app", plain), plain);
  expect(
    await target.sql("app", "SELECT count(*) FROM sales.looks_like_sql WHERE line LIKE 'ALTER TABLE%OWNER TO%'"),
  ).toBe("1");
});

test("--no-owner restores over what an earlier one made", async () => {
  const before = await stateOf(target, "app");
  // another server's backup is not chosen by itself
  const [name = ""] = scripts.list();
  expectSuccess(await scripts.run("restore", ["--no-owner", name]));
  await expectState(target, "app", before);
});
