/** What holds for the whole suite; named in bunfig.toml. */
import { afterAll } from "bun:test";
import { expectNoLeaks } from "./leaks.ts";
import { removeAllDirs } from "./temp.ts";

afterAll(() => {
  removeAllDirs();
  expectNoLeaks();
});
