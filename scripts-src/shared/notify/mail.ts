/** Sends one mail by SMTP. */
import type { SentMessageInfo } from "nodemailer";
import { Failure, usageFailure } from "../errors.ts";
import type { Settings } from "../settings.ts";
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
  const { createTransport } = await import("nodemailer");
  const transport = createTransport({ ...connection(server, patience), auth: login(settings) });
  const info = await transport
    .sendMail({
      ...message,
      from: settings.EMAIL_FROM,
      to: settings.EMAIL_TO,
      // no out-of-office reply to a machine (RFC 3834)
      headers: { "Auto-Submitted": "auto-generated" },
      disableFileAccess: true,
      disableUrlAccess: true,
      signal: AbortSignal.timeout(patience),
    })
    .catch((error: unknown) => {
      throw explainSmtp(error, server, patience);
    });
  refuseLoss(info, server);
  return `mail sent to ${settings.EMAIL_TO?.join(", ")} by ${server.name}`;
}

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
      `the mail settings are not complete: ${missing.join(", ")} not set`,
      `set ${missing.join(", ")}, or EMAIL_NOTIFY_MODE=NEVER to send no mail`,
    );
  const security = settings.SMTP_SECURITY ?? (port === 465 ? "tls" : "starttls");
  return { host, port, security, user, name: `${host}:${port}` };
}

/** nodemailer would wait for minutes; its own, more telling timeouts come before the end of our patience. */
function connection({ host, port, security }: MailServer, patience: number) {
  const timeout = Math.round(patience * 0.75);
  return {
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none",
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    socketTimeout: timeout,
    // a mail server on this machine is reached when there is no other network
    allowInternalNetworkInterfaces: true,
  };
}

const login = ({ SMTP_USER: user, SMTP_PASSWORD: pass }: MailSettings) => (user ? { user, pass } : undefined);

function refuseLoss({ rejected = [], rejectedErrors }: SentMessageInfo, server: MailServer): void {
  if (rejected.length === 0) return;
  const answers = (rejectedErrors as { response?: string }[] | undefined)?.map((error) => error.response ?? "") ?? [];
  throw new Failure(
    `the mail server ${server.name} refused ${rejected.join(", ")}: ${quoteAnswer(answers.join("; "))}`,
    { hints: ["check EMAIL_TO; the other recipients have got the mail"] },
  );
}
