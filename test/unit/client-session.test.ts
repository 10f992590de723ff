import { expect, test } from "bun:test";
import { Failure } from "../../scripts-src/base/errors.ts";
import { start } from "../../scripts-src/base/process.ts";
import { ClientSession } from "../../scripts-src/database/session.ts";

class Asking extends ClientSession {
  ask(sql: string): Promise<string[]> {
    return this.answerTo(sql);
  }
  protected override failure(status: number, stderr: string): Failure {
    return new Failure(`it ended with status ${status}: ${stderr}`);
  }
}

/** Answers one question with a line of 6,001 letters, in two parts: the first comes together with the line before it. */
const client = `
  let text = "";
  for await (const chunk of Bun.stdin.stream()) {
    text += Buffer.from(chunk).toString();
    const mark = /^SELECT 2(\\d+);$/m.exec(text)?.[1];
    if (mark === undefined) continue;
    text = "";
    await Bun.write(Bun.stdout, "1" + mark + "\\n" + "x".repeat(6000));
    await Bun.sleep(200);
    await Bun.write(Bun.stdout, "y\\n2" + mark + "\\n");
  }`;

test("an answer is complete, wherever the parts end in which its first long line comes", async () => {
  const { signal } = new AbortController();
  await using session = new Asking(start([process.execPath, "-e", client], { signal }), signal);
  expect(await session.ask("SELECT 1")).toEqual([`${"x".repeat(6000)}y`]);
});
