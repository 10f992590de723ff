/** What to set for a provider of S3-compatible storage, beside bucket and keys. */
interface Provider {
  name: string;
  /** Lines of .env.sh. */
  lines: readonly string[];
  /** One sentence: where the values come from. */
  note: string;
}

export const providers: readonly Provider[] = [
  {
    name: "AWS S3",
    lines: ["S3_REGION='eu-central-1'"],
    note: "The region of the bucket; no S3_URL. Without keys, AWS's own chain is used (profile, instance role).",
  },
  {
    name: "MinIO",
    lines: ["S3_URL='https://minio.example.com:9000'", "S3_REGION='us-east-1'"],
    note: "The address of the server's API, not that of its console.",
  },
  {
    name: "DigitalOcean Spaces",
    lines: ["S3_URL='https://fra1.digitaloceanspaces.com'", "S3_REGION='fra1'"],
    note: "The endpoint of the data centre, without the name of the Space in front; S3_BUCKET is the name of the Space.",
  },
  {
    name: "Cloudflare R2",
    lines: ["S3_URL='https://ACCOUNT_ID.r2.cloudflarestorage.com'", "S3_REGION='auto'"],
    note: "R2's page of the dashboard shows the account's id; an API token made there gives the keys.",
  },
  {
    name: "Backblaze B2",
    lines: ["S3_URL='https://s3.eu-central-003.backblazeb2.com'", "S3_REGION='eu-central-003'"],
    note: "The bucket's page shows the endpoint; the region is its second word. An application key gives the keys.",
  },
  {
    name: "Ceph (RADOS Gateway)",
    lines: ["S3_URL='https://rgw.example.com'", "S3_REGION='default'"],
    note: "The address of the gateway. The region is its zonegroup, usually default.",
  },
];
