/** Sends one mail by SMTP. */
import { createConnection, type Socket } from "node:net";
import type { SentMessageInfo } from "nodemailer";
import { Failure, usageFailure } from "../base/errors.ts";
import type { Settings } from "../settings/settings.ts";
import type { Message } from "./message.ts";
import { explainSmtp, type MailServer, quoteAnswer } from "./smtp-errors.ts";

export type MailSettings = Pick<
  Settings,
  "EMAIL_FROM" | "EMAIL_TO" | "SMTP_HOST" | "SMTP_PORT" | "SMTP_USER" | "SMTP_PASSWORD" | "SMTP_SECURITY"
>;

/**
 * Sends a message within `patience` ms and returns a line about what happened. Throws a `Failure` that names the cause
 * and the setting to look at; some recipients refused is a failure too, though the others have got the mail.
 */
export async function sendMail(message: Message, settings: MailSettings, patience: number): Promise<string> {
  const server = mailServer(settings);
  const info = await deliver(message, settings, server, patience).catch((error: unknown) => {
    throw explainSmtp(error, server, patience);
  });
  refuseLoss(info, server);
  return `mail sent to ${settings.EMAIL_TO?.join(", ")} by ${server.name}`;
}

/** Logs in and sends nothing; returns a line about what was found. Throws as `sendMail` does. */
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

async function deliver(message: Message, settings: MailSettings, server: MailServer, patience: number) {
  const open = await opener(settings, server, patience);
  const signal = AbortSignal.timeout(patience);
  const transport = await open();
  return transport.sendMail({
    ...message,
    from: settings.EMAIL_FROM,
    to: settings.EMAIL_TO,
    // no out-of-office reply to a machine (RFC 3834)
    headers: { "Auto-Submitted": "auto-generated" },
    disableFileAccess: true,
    disableUrlAccess: true,
    signal,
  });
}

/** Loads nodemailer, which is not for the server's time; what it returns connects. */
async function opener(settings: MailSettings, server: MailServer, patience: number) {
  const { createTransport } = await import("nodemailer");
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

/** nodemailer would wait for minutes. Its timeouts tell more than the end of our patience, so they come before it. */
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
      `the mail settings are not complete: ${missing.join(", ")} not set, or not valid`,
      `set ${missing.join(", ")}, or EMAIL_NOTIFY_MODE=NEVER to send no mail`,
    );
  const security = settings.SMTP_SECURITY ?? (port === 465 ? "tls" : "starttls");
  return { host, port, security, user, name: `${host}:${port}` };
}

function refuseLoss({ rejected = [], rejectedErrors }: SentMessageInfo, server: MailServer): void {
  if (rejected.length === 0) return;
  const answers = (rejectedErrors as { response?: string }[] | undefined)?.map((error) => error.response ?? "") ?? [];
  throw new Failure(
    `the mail server ${server.name} refused ${rejected.join(", ")}: ${quoteAnswer(answers.join("; "))}`,
    { hints: ["check EMAIL_TO; the other recipients have got the mail"] },
  );
}
