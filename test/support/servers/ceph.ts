/** A real S3 server for tests: Ceph's RADOS gateway on one throw-away node of 127.0.0.1, all in memory. Serves after 2 s. */
import { randomBytes } from "node:crypto";
import { mkdirSync, openSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { CreateBucketCommand, type S3Client } from "@aws-sdk/client-s3";
import { freePort } from "./postgres.ts";
import { plainClient } from "./storage.ts";
import { removeDir, tempDir } from "../machine/temp.ts";
import { until } from "../machine/until.ts";

export interface Ceph {
  url: string;
  key: string;
  secret: string;
  /** Another user, who owns nothing. */
  stranger: { key: string; secret: string };
  /** A client with all rights. */
  client: S3Client;
  newBucket(): Promise<string>;
  stop(): Promise<void>;
}

/** False where Ceph is not installed. */
export const cephHere: boolean = ["ceph-mon", "ceph-osd", "radosgw"].every((name) => Bun.which(name) !== null);

const key = "testaccesskey";
const secret = "testsecretkey0123456789";
const stranger = { key: "strangerkey", secret: "strangersecret0123456789" };

/** Starts a monitor, one object store in memory (at most `gigabytes`) and the gateway. Stop it in `afterAll`. */
export async function startCeph(gigabytes = 3): Promise<Ceph> {
  const home = tempDir("ceph");
  const [port, monitorPort] = [freePort(), freePort()];
  for (const folder of ["mon/a", "osd/0", "log", "run", "rgw"]) mkdirSync(join(home, folder), { recursive: true });
  const conf = join(home, "ceph.conf");
  const id = crypto.randomUUID();
  writeFileSync(conf, configuration(home, id, port, monitorPort, gigabytes));
  const log = openSync(join(home, "log/daemons.out"), "a");
  const spawn = (...argv: string[]) =>
    Bun.spawn(argv, { env: { ...process.env, CEPH_CONF: conf }, stdin: "ignore", stdout: log, stderr: log });
  // with a limit: the tools wait for ever when a daemon has ended
  const run = async (...argv: string[]) => {
    if ((await spawn("timeout", "60", ...argv).exited) !== 0)
      throw new Error(`${argv.join(" ")} failed, see ${home}/log`);
  };
  const daemons: Bun.Subprocess[] = [];
  const stop = async () => {
    for (const daemon of daemons.toReversed()) {
      daemon.kill("SIGTERM");
      const killer = setTimeout(() => daemon.kill("SIGKILL"), 3_000);
      await daemon.exited;
      clearTimeout(killer);
    }
    removeDir(home);
  };
  try {
    const map = join(home, "monmap");
    await run("monmaptool", "--create", "--addv", "a", `[v2:127.0.0.1:${monitorPort}/0]`, "--fsid", id, map);
    await run("ceph-mon", "-i", "a", "--mkfs", "--monmap", map);
    daemons.push(spawn("ceph-mon", "-i", "a", "-f"));
    const osd = crypto.randomUUID();
    await run("ceph", "osd", "new", osd);
    await run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd);
    daemons.push(spawn("ceph-osd", "-i", "0", "-f"));
    const user = (name: string, login: { key: string; secret: string }) =>
      run(
        "radosgw-admin",
        "user",
        "create",
        `--uid=${name}`,
        `--display-name=${name}`,
        `--access-key=${login.key}`,
        `--secret-key=${login.secret}`,
      );
    await user("test", { key, secret });
    await user("stranger", stranger);
    daemons.push(spawn("radosgw", "-n", "client.rgw", "-f"));
    await until("the RADOS gateway answers", () => answers(port));
  } catch (error) {
    await stop();
    throw error;
  }
  const url = `http://127.0.0.1:${port}`;
  const client = plainClient({ url, key, secret });
  const newBucket = async () => {
    const Bucket = `test-${randomBytes(5).toString("hex")}`;
    await client.send(new CreateBucketCommand({ Bucket }));
    return Bucket;
  };
  return { url, key, secret, stranger, client, newBucket, stop };
}

async function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
  const answered = await promise;
  socket.destroy();
  return answered;
}

function configuration(home: string, id: string, port: number, monitorPort: number, gigabytes: number): string {
  return `[global]
fsid = ${id}
mon initial members = a
mon host = [v2:127.0.0.1:${monitorPort}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = ${home}/run
admin socket = ${home}/run/$name.asok
log file = ${home}/log/$name.log
pid file =
crash dir = ${home}/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon warn on pool no redundancy = false
mon pg warn min per osd = 0
mon osd full ratio = 0.97
mon data avail warn = 1
mon data avail crit = 1
debug ms = 0
# the gateway wants an encrypted monitor session, which needs cephx; with auth none it must be crc
ms mon client mode = crc
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
paxos propose interval = 0.05
paxos min wait = 0.02
[mon]
mon data = ${home}/mon/$id
mon allow pool delete = true
auth allow insecure global id reclaim = false
[osd]
osd data = ${home}/osd/$id
osd objectstore = memstore
memstore device bytes = ${gigabytes * 2 ** 30}
osd max object name len = 2048
[client]
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw data = ${home}/rgw
rgw enable usage log = false
rgw gc obj min wait = 1
rgw gc processor period = 10
rgw gc processor max time = 10
rgw run sync thread = false
`;
}
