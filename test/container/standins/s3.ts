/** Stands in for versitygw, the demo's S3 server: a folder below the one that it is given is a bucket. */
import { readdirSync } from "node:fs";
import { startS3Server } from "../../support/servers/s3-server.ts";

const { ROOT_ACCESS_KEY: key = "", ROOT_SECRET_KEY: secret = "" } = process.env;
const server = startS3Server({}, { hostname: "0.0.0.0", port: 7070, key, secret });
for (const bucket of readdirSync(process.argv.at(-1) ?? "/")) await server.newBucket(bucket);
