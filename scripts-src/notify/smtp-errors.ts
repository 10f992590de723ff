/** What went wrong with a mail, in words that lead to the setting to change. */
import { messageOf } from "../base/errors.ts";
import { redact } from "../base/secrets.ts";
import { visibleName } from "../base/text.ts";
import { type Again, Undelivered } from "./undelivered.ts";

export interface MailServer {
  host: string;
  port: number;
  security: "starttls" | "tls" | "none";
  user: string | undefined;
  /** `host:port`, for messages. */
  name: string;
}

/** The fields that nodemailer puts on its errors. */
interface SmtpError {
  message: string;
  code?: string;
  /** Of the operating system or OpenSSL, where `code` is nodemailer's. */
  originalCode?: string;
  /** The step that failed: CONN, EHLO, STARTTLS, AUTH …, MAIL FROM, RCPT TO, DATA. */
  command?: string;
  response?: string;
  timeoutType?: string;
}

type Explanation = readonly [cause: string, ...hints: string[]];

/** An error with cause and hints for what nodemailer threw. */
export function explainSmtp(thrown: unknown, server: MailServer, patience: number): Undelivered {
  const { code, originalCode = code, ...rest } = thrown as SmtpError;
  const error: SmtpError = { ...rest, code, originalCode, message: messageOf(thrown) };
  const explain = [noConnection, silence, noTls, wrongCertificate, refusedLogin, refusedMail];
  const [cause, ...hints] = explain.map((rule) => rule(error, server, patience)).find(Boolean) ?? [error.message];
  const again = againAfter(error);
  return new Undelivered(`the mail server ${server.name} ${cause}`, { hints, cause: thrown, again });
}

/** RFC 5321: an answer 4yz is temporary, 5yz is not. */
function againAfter({ response = "" }: SmtpError): Again {
  if (response.startsWith("4")) return "soon";
  return response.startsWith("5") ? "never" : "later";
}

type Rule = (error: SmtpError, server: MailServer, patience: number) => Explanation | undefined;

const noConnection: Rule = ({ code, originalCode, command, response }) => {
  if (originalCode === "ECONNREFUSED")
    return ["cannot be reached: connection refused", "check SMTP_HOST and SMTP_PORT, and that the mail server runs"];
  if (originalCode === "EHOSTUNREACH" || originalCode === "ENETUNREACH")
    return ["cannot be reached: no route to it", "check SMTP_HOST and the network of this machine"];
  if (originalCode === "ENOTFOUND" || originalCode === "EAI_AGAIN")
    return ["cannot be found: its name does not resolve", "check SMTP_HOST and this machine's DNS"];
  if (code === "EPROTOCOL" && /^[45]\d\d/.test(response ?? ""))
    return [
      `refused the connection: ${quoteAnswer(response)}`,
      "it may be busy, or not serve this machine; look into its log",
    ];
  if (code === "EPROTOCOL" && command === "CONN")
    return [
      `does not speak SMTP: ${quoteAnswer(response)}`,
      "check SMTP_HOST and SMTP_PORT (usual: 587 with SMTP_SECURITY=starttls, 465 with SMTP_SECURITY=tls)",
    ];
  if (code === "ECONNECTION" || originalCode === "ECONNRESET" || originalCode === "EPIPE")
    return [`closed the connection${response ? `: ${quoteAnswer(response)}` : ""}`, "look into the mail server's log"];
  return undefined;
};

const silence: Rule = ({ code, timeoutType }, { security }, patience) => {
  if (code === "EABORT") return [`took longer than ${Math.round(patience / 1000)} s`, "is the mail server overloaded?"];
  if (code !== "ETIMEDOUT") return undefined;
  if (!timeoutType)
    return ["did not answer", "check SMTP_HOST and SMTP_PORT; a firewall may be in the way (many block port 25)"];
  if (timeoutType === "GREETING_TIMEOUT" && security !== "tls")
    return [
      "accepted the connection, but said nothing",
      "a server that expects TLS from the first byte (usual on port 465) needs SMTP_SECURITY=tls",
    ];
  if (timeoutType === "UPGRADE_TIMEOUT")
    return ["does not answer in the TLS handshake", "check SMTP_PORT and SMTP_SECURITY"];
  return ["stopped answering", "look into the mail server's log"];
};

const noTls: Rule = ({ code, originalCode, command, response }, { security }) => {
  if (command === "STARTTLS" && response)
    return [
      `does not offer STARTTLS: ${quoteAnswer(response)}`,
      "use SMTP_SECURITY=tls if it has a TLS port (usually SMTP_PORT=465); SMTP_SECURITY=none sends everything unencrypted",
    ];
  if (security === "tls" && /WRONG_VERSION_NUMBER|EPROTO|PACKET_LENGTH/.test(originalCode ?? ""))
    return ["does not speak TLS from the first byte", "set SMTP_SECURITY=starttls (usual on port 587)"];
  if (code === "ETLS") return ["ended the TLS handshake", "look into the mail server's log"];
  return undefined;
};

const wrongCertificate: Rule = ({ originalCode = "", message }, { host }) => {
  if (originalCode === "ERR_TLS_CERT_ALTNAME_INVALID")
    return [`has a certificate of another name: ${quoteAnswer(message)}`, "set SMTP_HOST to a name in the certificate"];
  if (originalCode === "CERT_HAS_EXPIRED") return ["has an expired certificate", "renew the mail server's certificate"];
  if (!/CERT|UNABLE_TO_(GET|VERIFY)/.test(originalCode)) return undefined;
  const here = /^(localhost|127\..*|::1)$/.test(host);
  return [
    `has a certificate that is not trusted: ${quoteAnswer(message)}`,
    "name the file of its certificate authority in CA_FILE",
    ...(here ? ["the mail server is on this machine, so SMTP_SECURITY=none is safe too"] : []),
  ];
};

const refusedLogin: Rule = ({ code, command, response }, { user, security }) => {
  const answer = quoteAnswer(response);
  if (/^53[08]/.test(answer) && security === "none")
    return [`wants encryption or a login: ${answer}`, "set SMTP_SECURITY=starttls, and SMTP_USER and SMTP_PASSWORD"];
  if (code === "EAUTH" && !response)
    return ["offers no login method we support", "unset SMTP_USER if it needs no login"];
  if (code === "EAUTH")
    return [
      `refused the login of ${user}: ${answer}`,
      "check SMTP_USER and SMTP_PASSWORD; accounts with a second factor need an app password",
    ];
  if (!user && command !== "CONN" && /^5\d\d.*(auth|relay|login)/i.test(answer))
    return [`wants a login: ${answer}`, "set SMTP_USER and SMTP_PASSWORD"];
  return undefined;
};

const refusedMail: Rule = ({ command, response }) => {
  const answer = quoteAnswer(response);
  const advice = (setting: string) =>
    answer.startsWith("4") ? "the mail server calls this temporary" : `check ${setting}`;
  if (command === "MAIL FROM") return [`refused the sender: ${answer}`, advice("EMAIL_FROM")];
  if (command === "RCPT TO") return [`refused every recipient: ${answer}`, advice("EMAIL_TO")];
  if (command === "DATA") return [`refused the mail: ${answer}`, advice("EMAIL_FROM and EMAIL_TO")];
  return undefined;
};

/** A server's own words in a message of ours: one printable line, not too long. */
export function quoteAnswer(text = ""): string {
  // before it is cut: half a secret would not be recognized
  const line = visibleName(redact(text).trim().replaceAll(/\s+/g, " "));
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
