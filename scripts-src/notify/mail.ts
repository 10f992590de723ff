/** Sends one mail over SMTP. */
import { createConnection, type Socket } from "node:net";
import type { SentMessageInfo } from "nodemailer";
import { trustInTls } from "../base/authorities.ts";
import { usageFailure } from "../base/errors.ts";
import { retry } from "../base/retry.ts";
import type { Settings } from "../settings/settings.ts";
import type { Message } from "./message.ts";
import { explainSmtp, type MailServer, quoteAnswer } from "./smtp-errors.ts";
import { isSoon, Undelivered } from "./undelivered.ts";

export type MailSettings = Pick<
  Settings,
  "EMAIL_FROM" | "EMAIL_TO" | "SMTP_HOST" | "SMTP_PORT" | "SMTP_USER" | "SMTP_PASSWORD" | "SMTP_SECURITY"
>;

/** Waits (ms) between tries. */
const waits = [1_000, 2_000, 4_000, 8_000];

/**
 * Sends a message within `patience` ms and returns a line about what happened. What the server calls temporary (a 4xx answer,
 * as of grey-listing) is tried again as long as the patience lasts. Throws an `Undelivered` that names the cause and the
 * setting to look at. Recipients who got the mail are removed from `recipients`, so that a later call sends it to the others only.
 */
export async function sendMail(
  message: Message,
  settings: MailSettings,
  patience: number,
  recipients = [...(settings.EMAIL_TO ?? [])],
): Promise<string> {
  const server = mailServer(settings);
  const end = Date.now() + patience;
  const attempt = () => sendOnce(message, settings, server, end - Date.now(), recipients);
  await retry("mail", attempt, { waits, again: (error, wait) => isSoon(error) && Date.now() + 2 * wait < end });
  return `mail sent to ${settings.EMAIL_TO?.join(", ")} by ${server.name}`;
}

async function sendOnce(
  message: Message,
  settings: MailSettings,
  server: MailServer,
  patience: number,
  recipients: string[],
): Promise<void> {
  const open = await opener(settings, server, patience);
  const mail = {
    ...message,
    from: settings.EMAIL_FROM,
    to: [...recipients],
    // no out-of-office reply to a machine (RFC 3834)
    headers: { "Auto-Submitted": "auto-generated" },
    disableFileAccess: true,
    disableUrlAccess: true,
    signal: AbortSignal.timeout(patience),
  };
  const info = await open()
    .then((transport) => transport.sendMail(mail))
    .catch((error: unknown) => {
      throw explainSmtp(error, server, patience);
    });
  const refused = refusalsOf(info);
  recipients.splice(0, recipients.length, ...refused.map(({ address }) => address));
  if (refused.length > 0) throw explainRefusals(refused, server);
}

/** Logs in and sends nothing; returns a line about what was found. Throws like `sendMail`. */
export async function checkMail(settings: MailSettings, patience: number): Promise<string> {
  const server = mailServer(settings);
  const open = await opener(settings, server, patience);
  await open()
    .then((transport) => transport.verify())
    .catch((error: unknown) => {
      throw explainSmtp(error, server, patience);
    });
  return `${server.name} ${server.user ? `accepts the login of ${server.user}` : "answers"}, nothing was sent`;
}

/** Loads nodemailer before the server's time begins to count; the returned function connects. */
async function opener(settings: MailSettings, server: MailServer, patience: number) {
  const { createTransport } = await import("nodemailer");
  trustInTls();
  return async () => {
    const connection = await connect(server, patience * 0.7);
    return createTransport({ ...dialogue(server, patience), auth: login(settings), connection });
  };
}

/**
 * Connects by the system's own resolver. nodemailer asks the DNS servers itself, and while they do not answer it finds
 * neither localhost nor a name of /etc/hosts: no mail exactly when the network is in trouble.
 */
function connect({ host, port }: MailServer, timeout: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = createConnection({ host, port, autoSelectFamily: true }, () => resolve(socket)).once("error", reject);
  const late = setTimeout(() => socket.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })), timeout);
  return promise.finally(() => clearTimeout(late));
}

/** nodemailer's own timeouts are minutes. Its errors say more than the end of our patience does, so they come before it. */
function dialogue({ host, port, security }: MailServer, patience: number) {
  return {
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none",
    connectionTimeout: patience * 0.7,
    greetingTimeout: patience * 0.7,
    socketTimeout: patience * 0.8,
  };
}

const login = ({ SMTP_USER: user, SMTP_PASSWORD: pass }: MailSettings) => (user ? { user, pass } : undefined);

/** The server as the settings describe it; throws when they are not enough to send a mail. */
function mailServer(settings: MailSettings): MailServer {
  const { SMTP_HOST: host, SMTP_PORT: port, SMTP_USER: user } = settings;
  const missing: string[] = (["SMTP_HOST", "EMAIL_FROM", "EMAIL_TO"] as const).filter(
    (name) => !settings[name]?.length,
  );
  if (user && !settings.SMTP_PASSWORD) missing.push("SMTP_PASSWORD");
  if (!user && settings.SMTP_PASSWORD) missing.push("SMTP_USER");
  if (!host || missing.length > 0)
    throw usageFailure(
      `the mail settings are incomplete: ${missing.join(", ")} not set, or not valid`,
      `set ${missing.join(", ")}, or EMAIL_NOTIFY_MODE=NEVER to send no mail`,
    );
  const security = settings.SMTP_SECURITY ?? (port === 465 ? "tls" : "starttls");
  return { host, port, security, user, name: `${host}:${port}` };
}

interface Refusal {
  address: string;
  answer: string;
}

/** nodemailer's result, as far as its types do not say it. */
interface Refused {
  rejected?: string[];
  rejectedErrors?: { recipient?: string; response?: string }[];
}

function refusalsOf(info: SentMessageInfo): Refusal[] {
  const { rejected = [], rejectedErrors = [] } = info as Refused;
  return rejected.map((address) => ({
    address,
    answer: rejectedErrors.find(({ recipient }) => recipient === address)?.response ?? "",
  }));
}

function explainRefusals(refused: readonly Refusal[], server: MailServer): Undelivered {
  const temporary = refused.every(({ answer }) => answer.startsWith("4"));
  const answers = quoteAnswer(refused.map(({ answer }) => answer).join("; "));
  const hint = temporary ? "the mail server calls this temporary" : "check EMAIL_TO";
  return new Undelivered(
    `the mail server ${server.name} refused ${refused.map(({ address }) => address).join(", ")}: ${answers}`,
    { hints: [`${hint}; the other recipients got the mail`], again: temporary ? "soon" : "never" },
  );
}
