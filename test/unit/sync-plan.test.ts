/** The sync plan and its delete rule, as tables. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Entry, indexLocal, type Named, planSync, reasonToKeep } from "../../scripts-src/steps/plan-sync.ts";

type Local = Entry & { named: Named };

/** `app@3` is a backup of app of 3 January, `app@3+` its manifest; anything else is no backup. */
function entry(word: string, bytes = 10): Entry {
  const [, database, day] = /^(\w+)@(\d+)\+?$/.exec(word) ?? [];
  if (!database || !day) return { name: word, bytes, named: undefined };
  const backup = `${database}@${day}`;
  return { name: word, bytes, named: { backup, database, time: new Date(Date.UTC(2026, 0, Number(day))) } };
}
const local = (...words: string[]) => words.map((word) => entry(word) as Local);
const remote = (...words: string[]) => words.map((word) => entry(word));
const names = (entries: readonly { name: string }[]) => entries.map(({ name }) => name);

describe("shell 3.3, 3.4: what may be deleted from S3", () => {
  const here = local("app@5", "app@5+", "app@7", "app@7+", "app@9", "shop@8");
  const cases: [object: string, mayDelete: boolean, local: Local[], kept: string | undefined][] = [
    // object, REMOTE_S3_DELETE, local files, why it stays (undefined: it goes)
    ["app@3", true, here, undefined],
    ["app@3+", true, here, undefined],
    ["app@6", true, here, undefined],
    ["shop@7", true, here, undefined],
    ["app@3", false, here, "REMOTE_S3_DELETE is not true"],
    ["app@3+", false, here, "REMOTE_S3_DELETE is not true"],
    ["app@5", true, here, "its backup exists locally"],
    ["app@9+", true, here, "its backup exists locally"], // its manifest is gone, it is not
    ["app@10", true, here, "not older than the newest local backup: it may belong to another machine"],
    ["shop@9", true, here, "not older than the newest local backup: it may belong to another machine"],
    ["shop@8+", true, local("shop@8", "shop@9"), "its backup exists locally"],
    ["other@1", true, here, "there is no local backup of other"],
    ["other@1+", true, here, "there is no local backup of other"],
    ["app@3", true, [], "there is no local backup of app"],
    ["app@3", true, local("shop@8"), "there is no local backup of app"],
    ["app@3", true, local("app@8+"), "there is no local backup of app"], // a manifest alone is no backup
    [
      "app@6",
      true,
      local("app@5", "app@8+"),
      "not older than the newest local backup: it may belong to another machine",
    ],
    ["holiday.jpg", true, here, "not named like a backup"],
    ["holiday.jpg", true, [], "not named like a backup"],
    ["app@3.partial", true, here, "not named like a backup"],
  ];
  test("I3: a local name from the future outdates nothing", () => {
    const now = new Date(Date.UTC(2026, 0, 8));
    const plan = planSync(local("app@5", "app@20"), remote("app@3", "app@6", "app@7"), { mayDelete: true, now });
    expect(names(plan.deletes)).toEqual(["app@3"]);
  });

  test.each(cases)("%s, REMOTE_S3_DELETE=%p", (object, mayDelete, there, kept) => {
    expect(reasonToKeep(entry(object).named, indexLocal(there), mayDelete)).toBe(kept);
  });

  test.each([[[]], [["app@9+"]]])("a lost disk does not empty the bucket, and is told: %p is left", (left) => {
    const plan = planSync(local(...left), remote("app@1", "app@1+", "notes"), { mayDelete: true });
    expect(plan.deletes).toEqual([]);
    expect(plan.refusal).toContain("there is no backup locally");
  });

  test.each([
    [[], false],
    [["notes"], true],
    [[], true],
  ])("no refusal where nothing would be deleted: %p, REMOTE_S3_DELETE=%p", (there, mayDelete) => {
    expect(planSync([], remote(...there), { mayDelete }).refusal).toBeUndefined();
  });
});

describe("shell 3.1: what is uploaded", () => {
  test("what is missing or differs in size; the newest backup first, a manifest after its backup", () => {
    const plan = planSync(
      local("app@1", "app@1+", "app@2+", "app@2", "app@3", "app@3+", "shop@2"),
      [entry("app@1"), entry("app@1+"), entry("app@3", 9), entry("app@3+"), entry("foreign")],
      { mayDelete: false },
    );
    expect(plan.uploads.map(names)).toEqual([["app@3", "app@3+"], ["shop@2"], ["app@2", "app@2+"]]);
    expect(names(plan.present)).toEqual(["app@1", "app@1+"]);
    expect(plan.deletes).toEqual([]);
    expect(plan.kept.map(({ entry: { name }, why }) => [name, why])).toEqual([["foreign", "not named like a backup"]]);
  });

  test("nothing to do is an empty plan", () => {
    const plan = planSync(local("app@1"), remote("app@1"), { mayDelete: true });
    expect([plan.uploads, plan.deletes, plan.kept, plan.refusal]).toEqual([[], [], [], undefined]);
  });
});

test("whatever is there: every file is accounted for, and no deletion breaks the rule", () => {
  const word = fc.oneof(
    fc
      .tuple(fc.constantFrom("app", "shop"), fc.nat({ max: 9 }), fc.constantFrom("", "+"))
      .map(([db, day, m]) => `${db}@${day}${m}`),
    fc.constantFrom("notes", "app@1.partial"),
  );
  const words = fc.uniqueArray(word, { maxLength: 12 });
  fc.assert(
    fc.property(words, words, fc.boolean(), (here, there, mayDelete) => {
      const ours = local(...here.filter((w) => entry(w).named));
      const plan = planSync(ours, remote(...there), { mayDelete });
      expect(names([...plan.uploads.flat(), ...plan.present]).toSorted()).toEqual(names(ours).toSorted());
      const gone = there.filter((w) => !names(ours).includes(w));
      expect(names([...plan.deletes, ...plan.kept.map((k) => k.entry)]).toSorted()).toEqual(gone.toSorted());
      for (const { named, name } of plan.deletes) {
        const same = ours.filter((one) => one.named.database === named?.database && one.name === one.named.backup);
        expect(mayDelete && named !== undefined && same.length > 0).toBe(true);
        expect(same.some((one) => one.named.time > named!.time)).toBe(true);
        expect(names(ours)).not.toContain(name);
        expect(names(ours)).not.toContain(named!.backup);
      }
    }),
  );
});
