/** What holds for the whole suite; named in bunfig.toml. */
import { afterAll } from "bun:test";
import { expectNoLeaks } from "./machine/leaks.ts";
import { removeAllDirs } from "./machine/temp.ts";

afterAll(() => {
  removeAllDirs();
  expectNoLeaks();
});
