/** Which tables an exchange of MySQL or MariaDB renames, and what a later run still has to do. */
import { expect, test } from "bun:test";
import {
  exchangeStatements,
  finishingMoves,
  planTables,
  takeBackStatements,
} from "../../scripts-src/database/mysql/exchange-plan.ts";
import type { Objects, Table } from "../../scripts-src/database/mysql/objects.ts";

const table = (name: string, engine = "InnoDB"): Table => ({ name, engine, kind: "BASE TABLE" });
const live: Objects = {
  tables: [table("a"), table("gone"), table("keyed"), table("loose", "MyISAM")],
  others: [
    { kind: "VIEW", name: "v", table: "" },
    { kind: "TRIGGER", name: "on_a", table: "a" },
    { kind: "TRIGGER", name: "on_keyed", table: "keyed" },
  ],
};
const fresh = [table("a"), table("keyed"), table("loose"), table("v")];
const keys = [{ table: "keyed", key: "fk" }];
const plan = (locks: boolean) => ({
  database: "app",
  source: "new",
  ...planTables({ live, fresh, liveKeys: keys, freshKeys: keys, locks }),
});
const at = (database: string[], before: string[], source: string[]) => ({
  live: new Set(database),
  before: new Set(before),
  source: new Set(source),
});

test("tables with triggers and views are set aside; a foreign key's name and locked tables let triggers be dropped before", () => {
  expect(plan(false)).toMatchObject({
    aside: { a: "_backup_scripts_aside_0", v: "_backup_scripts_aside_1" },
    dropped: ["on_keyed"],
  });
  expect(plan(true)).toMatchObject({ aside: { v: "_backup_scripts_aside_0" }, dropped: ["on_a", "on_keyed"] });
});

test("the log's name changes first, what cannot be renamed atomically comes last", () => {
  const statement = exchangeStatements(plan(false), "old", false);
  const moves = statement.replaceAll(/RENAME TABLE |;\n/g, "").split(", ");
  expect(moves).toEqual([
    "`old`.`_backup_scripts_prepared` TO `old`.`_backup_scripts_exchanged`",
    "`app`.`v` TO `app`.`_backup_scripts_aside_1`",
    "`app`.`gone` TO `old`.`gone`",
    "`app`.`a` TO `app`.`_backup_scripts_aside_0`",
    "`new`.`a` TO `app`.`a`",
    "`app`.`keyed` TO `old`.`keyed`",
    "`new`.`keyed` TO `app`.`keyed`",
    "`new`.`v` TO `app`.`v`",
    "`app`.`loose` TO `old`.`loose`",
    "`new`.`loose` TO `app`.`loose`",
  ]);
  const apart = "RENAME TABLE `app`.`loose` TO `old`.`loose`;\nRENAME TABLE `new`.`loose` TO `app`.`loose`;\n";
  expect(exchangeStatements(plan(false), "old", true)).toBe(
    statement.replace(", `app`.`loose` TO `old`.`loose`, `new`.`loose` TO `app`.`loose`;\n", `;\n${apart}`),
  );
});

test("what a crash has cut off is finished table by table, and is taken back", () => {
  const from = plan(false);
  const done = at(["a", "keyed", "v", "loose", "_backup_scripts_aside_0"], ["gone", "keyed", "loose"], []);
  expect(finishingMoves(from, "old", done)).toEqual(["`app`.`_backup_scripts_aside_0` TO `old`.`a`"]);
  const cut = at(["a", "keyed", "v", "loose", "_backup_scripts_aside_0"], ["gone", "keyed"], ["loose"]);
  expect(finishingMoves(from, "old", cut)).toEqual([
    "`app`.`_backup_scripts_aside_0` TO `old`.`a`",
    "`app`.`loose` TO `old`.`loose`",
    "`new`.`loose` TO `app`.`loose`",
  ]);
  const back = takeBackStatements(from, "old", cut, false);
  expect(takeBackStatements(from, "old", cut, true)).toBe(back);
  expect(takeBackStatements(from, "old", done, true)).toStartWith(
    "RENAME TABLE `app`.`loose` TO `new`.`loose`;\nRENAME TABLE `old`.`loose` TO `app`.`loose`;\nRENAME TABLE `old`.`_backup",
  );
  expect(back).toBe(
    "RENAME TABLE `old`.`_backup_scripts_exchanged` TO `old`.`_backup_scripts_taken_back`, `app`.`a` TO `new`.`a`, " +
      "`app`.`keyed` TO `new`.`keyed`, `app`.`v` TO `new`.`v`, `app`.`_backup_scripts_aside_0` TO `app`.`a`, " +
      "`old`.`gone` TO `app`.`gone`, `old`.`keyed` TO `app`.`keyed`;\n",
  );
});
