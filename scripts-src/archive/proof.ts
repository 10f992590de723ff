/** The proof beside a backup file: it was restored, and the copy was compared with it. */
import { z } from "zod";
import { isSignedWith, type ManifestKeys, signed } from "./manifest.ts";

const currentFormat = 1;

const schema = z.lazy(() =>
  z.looseObject({
    formatVersion: z.literal(currentFormat),
    /** Name and SHA-256 of the backup file. */
    backup: z.string(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** UTC, ISO 8601: when the copy was found equal. */
    provedAt: z.iso.datetime(),
    /** How long (ms) the backup took to be restored: the measured time to recover. */
    restoreMs: z.int().nonnegative(),
    /** How long (ms) everything took. */
    durationMs: z.int().nonnegative(),
    /** Where it was restored: "PostgreSQL 17.10", and its address without secrets. */
    serverVersion: z.string(),
    server: z.string(),
    tables: z.int().nonnegative(),
    rows: z.int().nonnegative(),
    /** What was compared: "every row", "every statement of the schema", … */
    compared: z.array(z.string()),
    /** What was left out of the comparison, and why. */
    leftOut: z.array(z.string()),
    programVersion: z.string(),
    /** The second line of the file: see `signature.ts`. */
    signature: z.string().optional(),
  }),
);

export type Proof = z.infer<typeof schema>;
/** What `formatProof` is given: everything but the format's version and the signature. */
export type ProofFacts = Pick<
  Proof,
  Exclude<keyof ReturnType<typeof schema.unwrap>["shape"], "formatVersion" | "signature">
>;

/** The text of a proof file, signed when there is a key (MANIFEST_KEY). */
export function formatProof(facts: ProofFacts, keys: ManifestKeys): string {
  return signed(`${JSON.stringify(schema.parse({ formatVersion: currentFormat, ...facts }), null, 2)}\n`, keys);
}

/** The proof in a file's content; undefined when it is damaged, of a newer format, or, with keys, not signed with one of them. */
export function parseProof(content: Uint8Array, keys: ManifestKeys): Proof | undefined {
  if (keys !== undefined && !isSignedWith(Buffer.from(content), keys)) return undefined;
  try {
    return schema.safeParse(JSON.parse(Buffer.from(content).toString())).data;
  } catch {
    return undefined;
  }
}
