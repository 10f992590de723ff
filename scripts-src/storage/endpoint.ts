/** Where requests go when S3_URL is not set: to AWS, unless AWS_ENDPOINT_URL or ~/.aws/config names another server. */
import { HeadBucketCommand } from "@aws-sdk/client-s3";
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";
import { makeClient } from "./bucket.ts";

const ofAws = /\.(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$/;
const told = new Set<string>();

/** The host of requests where it is neither AWS nor that of S3_URL; it is logged once. Sends nothing. */
export async function endpointElsewhere(settings: Settings, bucket: string, log: Logger): Promise<string | undefined> {
  if (settings.S3_URL !== undefined) return undefined;
  const host = await hostOf(settings, bucket);
  if (host === "" || ofAws.test(host)) return undefined;
  if (!told.has(host))
    log.info(`S3 requests go to ${host}: S3_URL is not set, and AWS_ENDPOINT_URL or ~/.aws/config names that server`);
  told.add(host);
  return host;
}

/** Asks the SDK where it would send a request, and stops it there. */
async function hostOf(settings: Settings, bucket: string): Promise<string> {
  let host = "";
  const client = makeClient({ ...settings, S3_ACCESS_KEY: "none", S3_SECRET_KEY: "none" });
  client.middlewareStack.add(
    () => (args) => {
      const { hostname, port } = args.request as { hostname: string; port?: number };
      host = port ? `${hostname}:${port}` : hostname;
      return Promise.reject(new Error("not sent"));
    },
    { step: "build", name: "findHost" },
  );
  await client.send(new HeadBucketCommand({ Bucket: bucket })).catch(() => {});
  client.destroy();
  return host;
}
