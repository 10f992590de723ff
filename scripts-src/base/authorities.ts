/** Certificate authorities of the user's own, beside those that every program on this machine trusts. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { diskFailure } from "./disk.ts";
import { usageFailure } from "./errors.ts";
import { distrust } from "./trust.ts";

/** The certificates in CA_FILE. */
let ours: readonly string[] = [];
/** With those that this machine trusts. */
let all: string[] | undefined;

const uncheckedBy = "NODE_TLS_REJECT_UNAUTHORIZED";

/** Certificates are checked whatever this variable of Node.js says. Returns whether it said something else. */
export function alwaysCheck(): boolean {
  const ignored = process.env[uncheckedBy] === "0";
  delete process.env[uncheckedBy];
  return ignored;
}

/**
 * From now on trusts the certificates in this PEM file too, where `trusted` or `trustInTls` is called. Throws a `Failure` when the file
 * cannot be read or holds no certificate.
 */
export function trustAlso(path: string): void {
  const why = distrust(path);
  if (why) throw usageFailure(`CA_FILE ${path} is not safe: ${why.cause}`, why.hint);
  const found = readText(path).match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  if (found.length === 0 || !found.every(isCertificate))
    throw usageFailure(
      `CA_FILE ${path}: no certificate in it`,
      "name a file with certificates in PEM form (-----BEGIN CERTIFICATE-----)",
    );
  [ours, all] = [found, undefined];
}

/** Reading the system's certificates takes 10 ms, so that waits for the first request. Bun parses the list for each request: no certificate stands there twice. */
const allOf = (): string[] =>
  (all ??= [...new Set([...getCACertificates("default"), ...ours].map((pem) => pem.trim()))]);

/** The part of a `fetch` call's options that makes it trust those certificates: Bun's fetch knows no default list. */
export const trusted = (): { tls?: { ca: string[] } } => (ours.length > 0 ? { tls: { ca: allOf() } } : {});

/** Makes `node:tls` trust them: mail goes through it, and AWS's own credential chain. */
export function trustInTls(): void {
  if (ours.length > 0) setDefaultCACertificates(allOf());
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { message, hints } = diskFailure(`cannot read CA_FILE ${path}`, error);
    throw usageFailure(message, ...hints);
  }
}

function isCertificate(pem: string): boolean {
  try {
    return Boolean(new X509Certificate(pem));
  } catch {
    return false;
  }
}
