/** A real browser for the report, driven over Chromium's DevTools protocol. */
import { pathToFileURL } from "node:url";
import { tempDir, removeDir } from "./temp.ts";

/** Debian's package without a desktop, or a Chromium that the machine has. */
const program = Bun.which("chromium-headless-shell") ?? Bun.which("chromium");
export const hasChromium = program !== null;

interface View {
  /** CSS pixels. */
  width: number;
  dark?: boolean;
  print?: boolean;
}

/** A page as somebody sees it. */
export interface Seen {
  /** What a screen reader reads, a line each: "heading: Backups of shop". */
  spoken: string[];
  /** Messages of the console and errors of the page. */
  complaints: string[];
  /** The value of an expression in the page. */
  valueOf(expression: string): Promise<unknown>;
}

export interface Browser extends AsyncDisposable {
  open(file: string, view: View): Promise<Seen>;
  /** The page on paper (PDF). */
  paper(file: string): Promise<Buffer>;
}

/** Starts it. It reaches no network. */
export async function startBrowser(): Promise<Browser> {
  const home = tempDir("chromium");
  const words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
  const child = Bun.spawn(
    [program ?? "chromium", ...words, "--remote-debugging-port=0", `--user-data-dir=${home}`, "about:blank"],
    { env: { ...process.env, HOME: home }, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  const protocol = await connect(await addressIn(child.stderr));
  const openPage = async (file: string, { width, dark = false, print = false }: View) => {
    const { targetId } = await protocol.ask<{ targetId: string }>("Target.createTarget", { url: "about:blank" });
    const attached = { targetId, flatten: true };
    const { sessionId } = await protocol.ask<{ sessionId: string }>("Target.attachToTarget", attached);
    const ask = <T>(method: string, params: object = {}) => protocol.ask<T>(method, params, sessionId);
    const complaints: string[] = [];
    protocol.hear(sessionId, ({ method, params }) => {
      if (/^(Runtime\.(consoleAPICalled|exceptionThrown)|Log\.entryAdded)$/.test(method))
        complaints.push(JSON.stringify(params));
    });
    for (const domain of ["Page", "Runtime", "Log", "Accessibility"]) await ask(`${domain}.enable`);
    await ask("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 1, mobile: width < 600 });
    const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
    await ask("Emulation.setEmulatedMedia", { media: print ? "print" : "screen", features });
    const loaded = protocol.next(sessionId, "Page.loadEventFired");
    await ask("Page.navigate", { url: pathToFileURL(file).href });
    await loaded;
    return { ask, complaints };
  };
  return {
    async open(file, view) {
      const { ask, complaints } = await openPage(file, view);
      const valueOf = async (expression: string) => {
        const { result } = await ask<{ result: { value: unknown } }>("Runtime.evaluate", { expression });
        return result.value;
      };
      const { nodes } = await ask<{ nodes: AccessibleNode[] }>("Accessibility.getFullAXTree");
      return {
        spoken: nodes.flatMap(({ ignored, role, name }) =>
          ignored || !name?.value ? [] : [`${role?.value}: ${name.value}`],
        ),
        complaints,
        valueOf,
      };
    },
    async paper(file) {
      const { ask } = await openPage(file, { width: 800, print: true });
      const { data } = await ask<{ data: string }>("Page.printToPDF");
      return Buffer.from(data, "base64");
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
      removeDir(home);
    },
  };
}

interface AccessibleNode {
  ignored: boolean;
  role?: { value: string };
  name?: { value: string };
}

interface Message {
  id?: number;
  sessionId?: string;
  method: string;
  params: unknown;
  result?: unknown;
  error?: { message: string };
}

/** Where the browser listens, which it says on its stderr; that is read to its end, or the browser would stand still. */
async function addressIn(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const found = Promise.withResolvers<string>();
  void (async () => {
    let said = "";
    for await (const chunk of stderr) {
      said = (said + Buffer.from(chunk).toString()).slice(-10_000);
      const [, address] = /listening on (ws:\S+)/.exec(said) ?? [];
      if (address !== undefined) found.resolve(address);
    }
    found.reject(new Error(`Chromium has ended: ${said}`));
  })();
  return found.promise;
}

async function connect(address: string) {
  const socket = new WebSocket(address);
  const answers = new Map<number, PromiseWithResolvers<unknown>>();
  const hearers = new Map<string, ((message: Message) => void)[]>();
  const hear = (sessionId: string, hearer: (message: Message) => void) =>
    hearers.set(sessionId, [...(hearers.get(sessionId) ?? []), hearer]);
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    const answer = answers.get(message.id ?? 0);
    if (answer && message.error) answer.reject(new Error(message.error.message));
    else answer?.resolve(message.result);
    for (const hearer of hearers.get(message.sessionId ?? "") ?? []) hearer(message);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error(`cannot connect to ${address}`)));
  });
  let count = 0;
  return {
    hear,
    async ask<T>(method: string, params: object, sessionId?: string): Promise<T> {
      const answer = Promise.withResolvers<unknown>();
      answers.set(++count, answer);
      socket.send(JSON.stringify({ id: count, method, params, sessionId }));
      return (await answer.promise) as T;
    },
    next: (sessionId: string, method: string) =>
      new Promise<void>((resolve) => hear(sessionId, (message) => message.method === method && resolve())),
  };
}
