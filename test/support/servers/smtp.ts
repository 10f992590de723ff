/** Real mail servers on loopback: good ones that keep what they get, and faulty ones. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type ParsedMail, simpleParser } from "mailparser";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerOptions, type SMTPServerSession } from "smtp-server";
import type { Certificate } from "./certificates.ts";
import { show } from "../machine/leaks.ts";

export interface ReceivedMail {
  from: string;
  to: string[];
  /** It came through TLS. */
  secure: boolean;
  /** Who had logged in. */
  user: string | undefined;
  raw: string;
  parsed: ParsedMail;
}

export interface MailServerOptions {
  security: "none" | "starttls" | "tls";
  certificate?: Certificate;
  /** A login is wanted, and this is the right one. */
  login?: { user: string; password: string };
  /** Addresses that are refused as sender or recipient. */
  refuse?: readonly string[];
  /** The mail itself is refused, after it was sent. */
  refuseMail?: string;
  /** So many commands that name one of these addresses are answered 450 (grey-listing) before they are accepted. */
  greyList?: { addresses: readonly string[]; times: number };
  /** So many connections are answered 421 before one is served. */
  busy?: number;
  /** Never answers MAIL FROM. */
  hangs?: boolean;
}

export interface TestServer {
  port: number;
  stop(): Promise<void>;
}

export interface MailServer extends TestServer {
  mails: ReceivedMail[];
  /** The only mail that has come; throws when there is none or more than one. */
  only(): ReceivedMail;
  /** The settings that lead here. */
  settings: Record<string, string>;
}

/** A mail server that keeps what it gets. */
export async function startMailServer(options: MailServerOptions): Promise<MailServer> {
  const mails: ReceivedMail[] = [];
  const server = new SMTPServer({ ...serverOptions(options), ...handlers(options, mails) });
  // a client that breaks off is what the tests are about
  server.on("error", () => {});
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.server.address() as AddressInfo;
  const only = () => {
    if (mails.length !== 1) throw new Error(`${mails.length} mails: ${mails.map((m) => m.parsed.subject).join(", ")}`);
    return mails[0]!;
  };
  return {
    port,
    mails,
    only,
    settings: mailSettings(port, options),
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Settings that send a mail to a server on loopback. */
export function mailSettings(port: number, { security, login }: Pick<MailServerOptions, "security" | "login">) {
  return {
    EMAIL_NOTIFY_MODE: "SUCCESS_AND_FAILURE",
    EMAIL_FROM: "backup@example.com",
    EMAIL_TO: "admin@example.com, oncall@example.com",
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: `${port}`,
    SMTP_SECURITY: security,
    ...(login && { SMTP_USER: login.user, SMTP_PASSWORD: login.password }),
  };
}

function serverOptions({ security, certificate, login }: MailServerOptions): SMTPServerOptions {
  return {
    logger: false,
    disableReverseLookup: true,
    closeTimeout: 50,
    authOptional: !login,
    allowInsecureAuth: true,
    secure: security === "tls",
    disabledCommands: [...(security === "starttls" ? [] : ["STARTTLS"]), ...(login ? [] : ["AUTH"])],
    ...(certificate && { key: certificate.key, cert: certificate.cert }),
  };
}

function handlers(
  { login, refuse = [], refuseMail, hangs, greyList, busy = 0 }: MailServerOptions,
  mails: ReceivedMail[],
): SMTPServerOptions {
  let grey = greyList?.times ?? 0;
  let turnedAway = 0;
  const answer = (responseCode: number, text: string) => Object.assign(new Error(text), { responseCode });
  const judge = (address: string) => {
    if (greyList?.addresses.includes(address) && grey-- > 0)
      return answer(450, `${address} is grey-listed, come back later`);
    return refuse.includes(address) ? new Error(`${address} is not welcome`) : null;
  };
  return {
    onConnect: (_, done) => done(turnedAway++ < busy ? answer(421, "too many connections") : null),
    onAuth: ({ username, password }, _, done) =>
      username === login?.user && password === login?.password
        ? done(null, { user: username })
        : done(new Error("authentication failed")),
    onMailFrom: ({ address }, _, done) => (hangs ? undefined : done(judge(address))),
    onRcptTo: ({ address }, _, done) => done(judge(address)),
    onData: (stream, session, done) => {
      receive(stream, session).then(
        (mail) => {
          mails.push(mail);
          done(refuseMail ? new Error(refuseMail) : null);
        },
        (error: Error) => done(error),
      );
    },
  };
}

async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<ReceivedMail> {
  const raw = await new Response(stream).text();
  const parsed = await simpleParser(raw);
  show("a mail", [raw, parsed.subject, parsed.text, parsed.html].join("\n"));
  const { mailFrom, rcptTo } = session.envelope;
  return {
    from: mailFrom ? mailFrom.address : "",
    to: rcptTo.map(({ address }) => address),
    secure: session.secure,
    user: session.user || undefined,
    raw,
    parsed,
  };
}

/** A TCP server that does with a connection what `meet` says, and nothing else. */
export async function startTcpServer(meet: (socket: Socket) => void): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    meet(socket);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return { port: (server.address() as AddressInfo).port, stop };
}

/** Listens, never accepts, and has room for one caller (Bun's own servers have a queue of hundreds). */
const deafListener = `use Socket; $| = 1;
  socket(S, PF_INET, SOCK_STREAM, 0) && bind(S, sockaddr_in(0, INADDR_LOOPBACK)) && listen(S, 0) or die $!;
  print((sockaddr_in(getsockname(S)))[0], "\n"); sleep 300`;

/** A port that swallows whatever comes, as behind a firewall: its queue is full. */
export async function startBlackHole(): Promise<TestServer> {
  const listener = Bun.spawn(["perl", "-e", deafListener], { stdout: "pipe" });
  const { value } = await listener.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  const callers = Array.from({ length: 3 }, () => connect({ port, host: "127.0.0.1" }).on("error", () => {}));
  await Promise.race(callers.map((caller) => once(caller, "connect")));
  const stop = async () => {
    for (const caller of callers) caller.destroy();
    listener.kill("SIGKILL");
    await listener.exited;
  };
  return { port, stop };
}
