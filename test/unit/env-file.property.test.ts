/** What `.env.sh` we accept means the same to /bin/sh; what we refuse names the line and a remedy, and no value. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { parseEnvFile } from "../../scripts-src/settings/env-file.ts";

const seed = Number(process.env.FC_SEED ?? Date.now() & 0x7fffffff);
console.log(`env-file: seed ${seed} (repeat with FC_SEED=${seed})`);

const folder = mkdtempSync(join(tmpdir(), "env-file-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shells = ["/bin/sh", "/bin/bash", "/bin/busybox"].filter((shell) => existsSync(shell));
const environment: Record<string, string> = {
  HOME: "/home/of me",
  PATH: "/usr/bin:/bin",
  OUTSIDE: "a * b  $HOME `id` \\ 'q' \"d\" #x",
  EMPTY: "",
  LINES2: "one\ntwo\n",
  UMLAUT: "Zoë \u0081\u0088",
};
/** Shells set these by themselves, whatever comes from outside. */
const shellsOwn = [
  "UID",
  "EUID",
  "PPID",
  "RANDOM",
  "PWD",
  "OLDPWD",
  "SHLVL",
  "LINENO",
  "OPTIND",
  "SECONDS",
  "PS1",
  "IFS",
  "_",
];
for (const name of shellsOwn) environment[name] = "1";
// for `export NAME=*`, which is a pattern to some shells
for (const name of ["DB_NAME=file", "a=file", "HELPER=file"]) writeFileSync(join(folder, name), "");

/** Reads every file with the shell, one subshell each, and returns its variables. */
function readWithShell(shell: string, automaticExport: boolean, files: { path: string; names: string[] }[]) {
  const script = files.map(({ path, names }) => {
    const print = names.map((name) => `"${name}=$${name}"`).join(" ");
    return `( ${automaticExport ? "set -a; " : ""}. ${path} >/dev/null </dev/null; printf '%s\\0' ${print}; ) || printf 'status %s\\0' $?; printf '\\0'`;
  });
  const argv = shell.endsWith("busybox") ? [shell, "sh"] : [shell];
  const run = Bun.spawnSync([...argv, "-s"], { stdin: Buffer.from(script.join("\n")), env: environment, cwd: folder });
  expect(run.stderr.toString()).toBe("");
  return run.stdout.toString().split("\0\0").slice(0, -1);
}

/** The same for a batch of files; `shell` and `export` modes all at once. */
function compareWithShells(contents: readonly (string | Uint8Array)[]): number {
  const accepted = contents.flatMap((content, index) => {
    const { assignments, refusals } = parseEnvFile(Buffer.from(content as string), environment);
    if (refusals.length > 0 || assignments.length === 0) return [];
    const path = join(folder, `${index}.sh`);
    writeFileSync(path, content);
    const values = new Map(assignments.map(({ name, value }) => [name, value]));
    return [{ path, content, values, names: [...values.keys()] }];
  });
  if (accepted.length === 0) return 0;
  for (const shell of shells) {
    for (const automaticExport of [false, true]) {
      const read = readWithShell(shell, automaticExport, accepted);
      const ours = accepted.map(({ values }) => [...values].map(([name, value]) => `${name}=${value}`).join("\0"));
      for (const [index, file] of accepted.entries())
        if (read[index] !== ours[index])
          throw new Error(
            `${shell} reads another value in ${JSON.stringify(file.content)}: ${JSON.stringify(read[index])}`,
          );
      expect(read.length).toBe(ours.length);
    }
  }
  return accepted.length;
}

const anyOf = (words: string) => fc.constantFrom(...words.split(" "));
const name = anyOf("DB_NAME S3_PATH BACKUP_DIR a _x1 HELPER OUTSIDE __proto__ if export");
const special = anyOf(
  "UID PPID IFS OPTIND RANDOM PWD LINENO SECONDS PS1 _ EUID SHLVL BASH_ENV PATH LC_ALL TERM MAIL HOSTNAME COLUMNS ENV TZ HISTSIZE FUNCNAME OLDPWD 1 # @",
);
const reference = fc
  .tuple(fc.oneof({ weight: 9, arbitrary: name }, special, fc.constantFrom("EMPTY", "LINES2", "UMLAUT")), fc.boolean())
  .map(([to, braces]) => (braces ? `\${${to}}` : `$${to}`));
const text = fc.string({
  unit: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(..."abXY019_./:@%+,=-".split("")) },
    {
      weight: 3,
      arbitrary: fc.constantFrom(..." \t#'\"`\\$~*?[]{}()!^;&|<>\u00a0éÁÈ漢\ufeff\u2028\u0085\u0001".split("")),
    },
  ),
  maxLength: 8,
});
const plain = fc.string({ unit: fc.constantFrom(..."abXY019_./:@%+,=-!^".split("")), maxLength: 8 });
/** Pieces of the language put together in any order: mostly nonsense, near what is accepted. */
const junk = fc
  .array(
    fc.oneof(text, plain, reference, fc.constantFrom("'", '"', " ", " # c", "\\", "$", "=", "export ", "'x'", '"y"')),
    {
      maxLength: 6,
    },
  )
  .map((pieces) => pieces.join(""));
/** What a person might write, and a shell reads otherwise than it looks. */
const traps = anyOf(
  '~ ~/x a:~/b a~ * DB_NAME=* ? [a-z]* {a,b} a{1,2}b $OUTSIDE x$OUTSIDE ${OUTSIDE} $UMLAUT $EMPTY x#y #x \'x\'#y \\n "\\n" "\\$a" \'a\'\\\'\'b\' "a"\'b\' a;b a&b `id` $(id) "$(id)" $$ $1 "$#" ${a:-x} "$a[0]" $\'x\' $"x" !! (a b) a\\ b <x >x |x',
);
const value = fc.oneof(
  traps,
  plain,
  junk,
  text.map((t) => `'${t}'`),
  text.map((t) => `"${t}"`),
  reference,
  fc.tuple(plain, reference, plain).map((t) => t.join("")),
  fc.tuple(text, reference, text).map((t) => `"${t.join("")}"`),
);
const line = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(
        fc.constantFrom("", "", "", "export ", "export\t ", " ", "\t"),
        fc.oneof({ weight: 9, arbitrary: name }, special),
        fc.oneof({ weight: 15, arbitrary: fc.constant("=") }, fc.constantFrom(" =", "= ", "+=", "[0]=", "")),
        value,
        fc.oneof(
          { weight: 5, arbitrary: fc.constant("") },
          fc.constantFrom(" # it's `x` $(y)", "\t#", " ", "#", ";", " b", "\r"),
        ),
      )
      .map((parts) => parts.join("")),
  },
  { weight: 2, arbitrary: junk.map((rest) => `# ${rest}`) },
  { weight: 1, arbitrary: fc.constantFrom("", " ", "#!/bin/sh", "set -a", "unset a", "export a", "a", ". x") },
  { weight: 1, arbitrary: junk },
);
const fileOfLines = fc
  .tuple(fc.array(line, { maxLength: 5 }), fc.constantFrom("", "\n", "\n\n"))
  .map(([lines, end]) => lines.join("\n") + end);
const file = fc.oneof(
  { weight: 9, arbitrary: fileOfLines },
  { weight: 2, arbitrary: line },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom("export ", ""), name, fc.constant("="), fc.oneof(traps, reference))
      .map((l) => l.join("")),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 12 }).map((b) => Buffer.concat([Buffer.from("A='"), b, Buffer.from("'")])),
  },
);

/** The limit is only for a run that hangs: a busy machine takes minutes for what takes 15 seconds here. */
const patience = 300_000;

const batches = { numRuns: Number(process.env.FC_RUNS ?? 8), seed, interruptAfterTimeLimit: 120_000 };
const batchOf = <T>(one: fc.Arbitrary<T>, most: number) =>
  fc.array(one, { minLength: most / 2, maxLength: most, size: "max" });

test(
  "what is accepted of random files means the same to the shells",
  () => {
    let files = 0;
    let accepted = 0;
    fc.assert(
      fc.property(batchOf(file, 500), (contents) => {
        files += contents.length;
        accepted += compareWithShells(contents);
      }),
      batches,
    );
    console.log(`env-file: ${accepted} of ${files} random files accepted, read alike by ${shells.join(", ")}`);
    expect(accepted).toBeGreaterThan(100);
  },
  patience,
);

const without = (characters: string, from: string) =>
  from
    .split("")
    .filter((c) => !`${characters}\u2028\u0085\u0001`.includes(c))
    .join("");
const good = fc
  .tuple(
    fc.constantFrom("", "export ", "  ", "\texport\t"),
    name,
    fc.constant("="),
    fc.oneof(
      plain,
      text.map((t) => `'${without("'", t)}'`),
      text.map((t) => `"${without('"\\`$', t)}"`),
      fc.constantFrom('"$OUTSIDE"', '"${UMLAUT}é-$EMPTY"', '"a ${LINES2} b"'),
    ),
    fc.constantFrom("", " ", " # it's", "\t# é"),
  )
  .map((parts) => parts.join(""));

test(
  "every plain, single-quoted and double-quoted value is accepted and means the same to the shells",
  () => {
    fc.assert(
      fc.property(batchOf(fc.array(good, { minLength: 1, maxLength: 4 }), 100), (files) => {
        expect(compareWithShells(files.map((lines) => lines.join("\n")))).toBe(files.length);
      }),
      batches,
    );
  },
  patience,
);

test.each([
  // found by chance: the reference was taken for $UMLAUT and a letter
  'A="$UMLAUT0\u00a0"',
  'A="$UMLAUTé"',
  'A="$UNHEARD"',
])("a reference is read whole or not at all: %s is refused", (line) => {
  expect(parseEnvFile(Buffer.from(line), environment).refusals).toHaveLength(1);
});

test.each([
  ['A="x/${UNHEARD}"', "the variable UNHEARD is set neither above nor in the environment"],
  // may be a password that lacks its single quotes
  ['A="pa$word"', "a variable is set neither above nor in the environment"],
])("a variable that is not set is named in braces only: %s", (line, cause) => {
  expect(parseEnvFile(Buffer.from(line), environment).refusals).toMatchObject([{ cause }]);
});

test("whatever is refused names a line of the file, a cause and a remedy, and nothing of the value", () => {
  const marked = fc
    .tuple(fc.constantFrom("A=", "export A=", "A ="), value, value)
    .map(([start, a, b]) => `${start}${a}SEcret7${b}`);
  fc.assert(
    fc.property(fc.oneof(file, marked), (content) => {
      const bytes = Buffer.from(content as string);
      const lines = bytes.toString("latin1").split("\n").length;
      for (const { line: at, cause, remedy } of parseEnvFile(bytes, environment).refusals) {
        expect(at).toBeGreaterThan(0);
        expect(at).toBeLessThanOrEqual(lines);
        expect(cause.length).toBeGreaterThan(10);
        expect(remedy.length).toBeGreaterThan(5);
        // only what stands in ${…} and is a name may be told
        const [, variable = ""] = /^the variable (\w+) is set neither/.exec(cause) ?? [];
        if (variable !== "") expect(bytes.toString("latin1").split("\n")[at - 1]).toContain(`\${${variable}}`);
        expect(cause.replace(variable, "") + remedy).not.toContain("SEcret7");
      }
    }),
    { numRuns: 5000, seed },
  );
});
