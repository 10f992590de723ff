/** Where requests go when S3_URL is not set: to AWS, unless AWS_ENDPOINT_URL or ~/.aws/config names another server. */
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";
import { makeClient } from "./bucket.ts";
import { endpointOf } from "./direct.ts";

const ofAws = /\.(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$/;
const reported = new Set<string>();

/** The host of requests where it is neither AWS nor that of S3_URL; it is logged once. Sends nothing. */
export async function endpointElsewhere(settings: Settings, bucket: string, log: Logger): Promise<string | undefined> {
  if (settings.S3_URL !== undefined) return undefined;
  // keys play no part in it, and may be missing
  const client = makeClient({ ...settings, S3_ACCESS_KEY: "none", S3_SECRET_KEY: "none" });
  const { host } = (await endpointOf(client, bucket)).url;
  client.destroy();
  if (host === "" || ofAws.test(host)) return undefined;
  if (!reported.has(host))
    log.info(`S3 requests go to ${host}: S3_URL is not set, and AWS_ENDPOINT_URL or ~/.aws/config names that server`);
  reported.add(host);
  return host;
}
