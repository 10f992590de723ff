/** The S3 servers that the same tests run against. */
import { describeWhere } from "../machine/where.ts";
import { cephHere, startCeph } from "./ceph.ts";
import { startS3Server } from "./s3-server.ts";
import type { Login } from "./storage.ts";

export interface Member extends Login {
  newBucket(): Promise<string>;
  stop(): Promise<void>;
}

/** Where apt is, `setup` installs Ceph: its absence is a failure there. */
const wantsCeph = cephHere || Bun.which("apt-get") !== null;

export const describeWithCeph = describeWhere(wantsCeph, "Ceph");

export const members: Record<string, () => Promise<Member>> = {
  "the strict server": async () => startS3Server(),
  ...(wantsCeph && { "a real Ceph": () => startCeph() }),
};
