/** Files that are replaced in one go. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../scripts-src/base/replace-file.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";
import { tempDir } from "../support/machine/temp.ts";
import { testWhere } from "../support/machine/where.ts";

testWhere(canMount, "the right to mount")("on a full disk the old content stays", () => {
  const dir = tempDir("full");
  const path = join(dir, "state.json");
  withDisk("size=64k", dir, () => {
    replaceFile(path, "old", 0o600);
    expect(() => replaceFile(path, "x".repeat(100_000), 0o600)).toThrow(/ENOSPC/);
    expect(readFileSync(path, "utf8")).toBe("old");
  });
});
