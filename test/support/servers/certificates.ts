/** Certificates made by openssl at run time; none is ever committed. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../machine/temp.ts";

export interface Certificate {
  key: string;
  cert: string;
  /** The certificate as a file, for NODE_EXTRA_CA_CERTS. */
  file: string;
}

/** A self-signed certificate for these names, valid for `days`: a negative number makes one that has expired. */
export function selfSigned(names = "DNS:localhost,IP:127.0.0.1", days = 2): Certificate {
  const dir = tempDir("certificate");
  const [key, request, extensions, file] = ["key.pem", "request.pem", "extensions", "cert.pem"].map((n) =>
    join(dir, n),
  );
  writeFileSync(extensions!, `subjectAltName=${names}\n`);
  openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", key!, "-out", request!);
  openssl(
    "x509",
    "-req",
    "-in",
    request!,
    "-signkey",
    key!,
    "-days",
    `${days}`,
    "-extfile",
    extensions!,
    "-out",
    file!,
  );
  return { key: readFileSync(key!, "utf8"), cert: readFileSync(file!, "utf8"), file: file! };
}

function openssl(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`openssl ${args[0]}: ${stderr.toString()}`);
}
