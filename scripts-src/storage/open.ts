/** Opens the storage that the settings name. */
import { usageFailure } from "../base/errors.ts";
import type { Settings } from "../settings/settings.ts";
import type { StorageContext } from "./bucket.ts";
import type { Storage } from "./connect.ts";

/** The storage that the settings name. Loads the AWS SDK only now: scripts that need no S3 start without it. */
export async function openStorage(settings: Settings, context: StorageContext): Promise<Storage> {
  if (!settings.S3_BUCKET) throw usageFailure("S3_BUCKET is not set");
  const { connect } = await import("./connect.ts");
  return connect(settings, settings.S3_BUCKET, context);
}
