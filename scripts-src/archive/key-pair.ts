/** A new pair of keys, as the content of a key file that we and the stock program `age` read. */
import { library } from "./age.ts";

/** The public key of a private one. */
export const publicKeyOf = async (secret: string): Promise<string> => (await library()).identityToRecipient(secret);

/** Both keys with what a person must know of them, as comments. `now` is the time that it names. */
export async function newKeyFile(now: Date): Promise<string> {
  const { generateX25519Identity } = await library();
  const secret = await generateX25519Identity();
  const recipient = await publicKeyOf(secret);
  return `# Key of encrypted backups, made ${now.toISOString()}
#
# Where backups are made, set the public key alone:
#   AGE_RECIPIENTS='${recipient}'
# Where they are restored or verified, keep this file, readable by that user only (chmod 600), and name it:
#   AGE_IDENTITY_FILE='/path/of/this/file'
# Keep a copy in a second safe place (a password manager, on paper): without it nobody can decrypt the backups.
# Do not keep it in the bucket, or on a machine that only makes backups.
#
# public key: ${recipient}
${secret}`;
}
