/**
 * Every step of the program against every fault. The table has no hole: a cell is held by a test, which bun registers, or there is a
 * reason why it cannot be.
 */
import { expect, test } from "bun:test";
import { describeTable, heldBy, none, type Rule, testsIn } from "../support/expect/fault-table.ts";
import { lostTests } from "../support/expect/registered.ts";

const accounts = heldBy("acceptance/accounts");
const failures = heldBy("acceptance/backup-failures");
const stops = heldBy("acceptance/backup-stops");
const deletions = heldBy("acceptance/container-5-retention");
const waits = heldBy("acceptance/container-6-log");
const lists = heldBy("acceptance/list");
const backups = heldBy("acceptance/mysql-backup-fails");
const restores = heldBy("acceptance/mysql-restore-fails");
const beside = heldBy("acceptance/restore-beside");
const restoreFailures = heldBy("acceptance/restore-failures");
const rows = heldBy("acceptance/restore-rows");
const restoreStops = heldBy("acceptance/restore-stops");
const trust = heldBy("acceptance/trust");
const verify = heldBy("acceptance/verify");
const clock = heldBy("faults/clock");
const diskErrors = heldBy("faults/disk-errors");
const hostile = heldBy("faults/hostile");
const hostileBucket = heldBy("faults/hostile-bucket");
const matrix = heldBy("faults/matrix");
const mysqlMatrix = heldBy("faults/matrix-mysql");
const notify = heldBy("faults/notify");
const stepwise = heldBy("faults/restore-steps");
const storage = heldBy("faults/storage");
const compress = heldBy("unit/archive-compress");
const archive = heldBy("unit/archive-file");
const retention = heldBy("unit/archive-retention");
const seal = heldBy("unit/archive-seal");

const database = ["connect", "dump start", "dump middle", "dump end"];
const work = ["compress", "encrypt"];
const disk = ["write", "flush", "rename", "manifest"];
const remote = ["upload start", "part", "complete", "list", "delete"];
const notice = ["notify"];
const backupSteps = [...database, ...work, ...disk, ...remote, ...notice];

/** What both engines meet until the dump is under way. */
const connecting: readonly Rule[] = [
  [["connect"], ["reset"], matrix("a server that hangs up at once")],
  [["connect"], ["hang"], matrix("a server that never answers")],
  [["connect"], ["slow"], waits("container 6.6 a server that is still starting up is waited for")],
  [["connect"], ["short", "corrupt"], matrix("a server that speaks garbage")],
  [["connect"], ["killed child"], matrix("a client program killed while it asks")],
  [["connect"], ["exit 0 too early"], matrix("a client program that says nothing and that all is well")],
  [["dump start"], ["refused", "reset"], matrix("a connection that breaks after 2000 bytes of the dump")],
  [["dump start"], ["killed child"], matrix("a dump program killed before its first word")],
  [["dump middle", "dump end"], ["refused"], none("the connection stands; it can only break")],
  [["dump middle"], ["reset"], matrix("a connection that breaks after 400000 bytes of the dump")],
];

/** A backup, with PostgreSQL. */
const backupRules: readonly Rule[] = [
  [["connect"], ["refused"], failures("server down")],
  ...connecting,
  [["dump end"], ["reset"], failures("server stopped in the middle")],
  [database, ["hang"], stops("SIGTERM ends the run with status 143, pg_dump with it, and leaves nothing behind")],
  [
    database,
    ["slow"],
    stops("of two runs at once, the second ends with status 5 and says who holds the lock; the first completes"),
  ],
  [["dump start"], ["short", "exit 0 too early"], failures("pg_dump that says all is well but stopped early: at once")],
  [
    ["dump middle"],
    ["short", "exit 0 too early"],
    failures("pg_dump that says all is well but stopped early: in the first table"),
  ],
  [
    ["dump end"],
    ["short", "exit 0 too early"],
    failures("pg_dump that says all is well but stopped early: before its last line"),
  ],
  [
    database,
    ["corrupt"],
    none("PostgreSQL's protocol checks nothing beyond TLS: what pg_dump says is what we can know"),
  ],
  [["dump middle"], ["killed child"], failures("pg_dump killed in the middle")],
  [["dump end"], ["killed child"], failures("pg_dump that fails after its last line")],
  [database, ["ENOSPC", "EIO"], none("nothing is written to a disk of ours")],
  [["connect"], ["EACCES"], matrix("client programs that may not be run")],
  [database, ["EACCES"], failures("no privilege on one table")],

  [
    work,
    ["killed child", "exit 0 too early"],
    none("no child: threads of our own process, which die with it (faults/kill-backup)"),
  ],
  [
    ["compress"],
    ["corrupt", "short"],
    compress("one changed bit is found without a manifest, whether the content could be compressed or not"),
  ],
  [["encrypt"], ["corrupt", "short"], seal("cut in the header is refused, after no more than a true beginning")],
  [work, ["slow"], compress("a reader that leaves ends the source; the source is never read far ahead")],
  [work, ["refused", "reset", "hang", "ENOSPC", "EIO", "EACCES"], none("no network and no disk")],

  [disk, ["refused", "reset"], none("no network")],
  [
    disk,
    ["hang", "slow"],
    none("a system call that does not return cannot be stopped; health check and HEALTHCHECK_URL tell"),
  ],
  [["write"], ["short"], failures("file size limit")],
  [["flush", "rename"], ["short"], none("all or nothing by the system")],
  [["write", "manifest"], ["ENOSPC"], matrix("a disk with room for so many files or bytes: whole or not there")],
  [["flush"], ["ENOSPC"], diskErrors("ENOSPC as it is flushed: it fails, says why, and leaves nothing")],
  [["rename"], ["ENOSPC"], diskErrors("ENOSPC as the file is renamed: it fails, says why, and leaves nothing")],
  [["manifest"], ["short"], matrix("a disk with room for so many files or bytes: whole or not there")],
  [disk, ["corrupt"], restoreFailures("one bit flipped at 0.02 of the file, without a manifest")],
  [["write"], ["EIO"], diskErrors("EIO as it is written: it fails, says why, and leaves nothing")],
  [["flush"], ["EIO"], diskErrors("EIO as it is flushed: it fails, says why, and leaves nothing")],
  [["rename"], ["EIO"], diskErrors("EIO as the file is renamed: it fails, says why, and leaves nothing")],
  [["manifest"], ["EIO"], diskErrors("EIO as the manifest is written: it fails, says why, and leaves nothing")],
  [["write"], ["EMFILE"], diskErrors("EMFILE as the file is created: it fails, says why, and leaves nothing")],
  [["manifest"], ["EMFILE"], diskErrors("EMFILE as the manifest is created: it fails, says why, and leaves nothing")],
  [["write", "flush"], ["EACCES"], failures("folder that cannot be written to")],
  [["rename"], ["EACCES"], archive("leaves nothing when it cannot be renamed after the manifest was written")],
  [["manifest"], ["EACCES"], none("it lies in the folder in which the backup was just written")],
  [disk, ["killed child", "exit 0 too early"], none("no child")],
  [
    ["rename"],
    ["clock jump"],
    archive("two in one second: the second gets -2, whatever its compression; names in S3 count (container 4.5)"),
  ],

  [remote, ["refused"], matrix("S3 that is down: the backup is kept here, and the run fails")],
  [["upload start", "part"], ["reset"], storage("uploads reset after 1 bytes are sent again")],
  [["complete"], ["reset"], storage("answers that are lost on their way: the upload is done once")],
  [["list", "delete"], ["reset"], storage("listing, reading and deleting try again too")],
  [remote, ["hang"], storage("ends a request that hangs, and what was sent is taken back")],
  [remote, ["slow"], storage("a burst of 503 SlowDown at PutObject")],
  [["list"], ["short"], storage("half a listing never passes for a whole one")],
  [["list"], ["corrupt"], hostile("a listing with anything anywhere")],
  [["complete"], ["corrupt"], storage("CompleteMultipartUpload: an answer cut short")],
  [remote, ["short"], storage("bytes that the server lost are noticed (100), and nothing is left")],
  [remote, ["corrupt"], none("Content-MD5 goes with every body, and the server refuses what does not match it")],
  [remote, ["ENOSPC", "EIO"], storage("PutObject fails: an error, nothing stored, nothing left")],
  [
    ["delete"],
    ["EACCES"],
    deletions("container 5.6: a deletion that fails is logged, the next one is tried, and the run is good"),
  ],
  [remote, ["EACCES"], storage("an error that trying again cannot mend is not tried again")],
  [remote, ["killed child", "exit 0 too early"], none("no child")],
  [["delete"], ["clock jump"], retention("refuses when all but one would go and that one is far too old itself")],
  [remote, ["clock jump"], storage("a clock that is an hour off is put right by the server's, and logged")],

  [notice, ["refused"], notify("is down")],
  [notice, ["reset"], notify("speaks garbage")],
  [notice, ["hang"], notify("hangs")],
  [notice, ["slow"], notify("is too busy")],
  [notice, ["short", "corrupt"], notify("speaks plainly where TLS is expected")],
  [notice, ["EACCES"], notify("refuses the login")],
  [notice, ["ENOSPC", "EIO"], none("nothing is written to a disk of ours; the server's is the server's answer")],
  [notice, ["killed child", "exit 0 too early"], none("no child")],

  [
    backupSteps,
    ["EMFILE"],
    matrix("open files: with any limit, a backup is whole or not there, and the run says which"),
  ],
  [
    backupSteps,
    ["clock jump"],
    clock("a clock that is years ahead or behind (+3000d): the backup is good and restores"),
  ],
];

describeTable("a backup", backupSteps, backupRules);

const dump = ["dump start", "dump middle", "dump end"];
const load = ["load start", "load middle", "load end"];
const mysqlSteps = ["connect", ...dump, "reading", "plan", "safety backup", ...load];

/** What is MySQL's and MariaDB's own: the dump, and a restore in place. */
const mysqlRules: readonly Rule[] = [
  [["connect"], ["refused"], backups("the server is down: three tries, each logged")],
  ...connecting,
  [["connect"], ["ENOSPC"], mysqlMatrix("no room for the option file")],
  [["connect"], ["EIO"], none("takes the way of ENOSPC")],
  [["connect"], ["EACCES"], mysqlMatrix("a folder for temporary files that cannot be written to")],

  [["dump end"], ["reset"], backups("the server stops in the middle")],
  [dump, ["hang", "slow"], backups("SIGTERM in the middle")],
  [["dump start"], ["short", "exit 0 too early"], mysqlMatrix("mariadb-dump that says nothing and that all is well")],
  [["dump middle"], ["short", "exit 0 too early"], mysqlMatrix("mariadb-dump gone with status 0 in the middle")],
  [["dump end"], ["short", "exit 0 too early"], backups("mariadb-dump exits with 0 but stopped early")],
  [["dump middle"], ["killed child"], backups("mariadb-dump is killed in the middle")],
  [["dump end"], ["killed child"], mysqlMatrix("mariadb-dump killed after its last line")],
  [dump, ["EACCES"], backups("no privilege on one table: it would be missing without a word")],
  [dump, ["corrupt"], none("the protocol checks nothing beyond TLS: what mariadb-dump says is what we can know")],
  [dump, ["ENOSPC", "EIO"], none("nothing is written but the file: matrix and disk-errors")],

  [["reading"], ["short", "corrupt"], restores("truncated, changed and strange files")],
  [["reading"], ["EIO"], diskErrors("EIO as the backup is read")],
  [["reading"], ["EACCES"], mysqlMatrix("a backup that may not be read")],
  [["reading"], ["EMFILE"], diskErrors("EMFILE as the backup is opened")],
  [["reading"], ["refused", "reset"], none("no network; from S3 it is faults/storage")],
  [["reading"], ["hang", "slow", "ENOSPC", "killed child", "exit 0 too early"], none("reads a file, and nothing else")],

  [["plan"], ["refused", "reset"], none("questions as those of connect: they fail, and nothing was touched")],
  [["plan"], ["hang", "slow"], restores("a restore that another session holds up ends, and nothing was changed")],
  [["plan"], ["EACCES"], restores("a user that owns the database alone restores it, and is told what it lacks")],
  [["plan"], ["killed child"], mysqlMatrix("mariadb killed while it asks for the target")],
  [["plan"], ["short", "exit 0 too early"], mysqlMatrix("mariadb that says nothing of the target")],
  [["plan"], ["corrupt", "ENOSPC", "EIO"], none("questions as those of connect")],

  [["safety backup"], ["killed child"], mysqlMatrix("a safety backup whose mariadb-dump is killed")],
  [["safety backup"], ["short", "exit 0 too early"], mysqlMatrix("a safety backup whose mariadb-dump stops early")],
  [["safety backup"], ["refused", "reset"], mysqlMatrix("a safety backup whose connection breaks")],
  [["safety backup"], ["ENOSPC"], diskErrors("ENOSPC as the safety backup is flushed: nothing is changed")],
  [["safety backup"], ["EIO"], diskErrors("EIO as the safety backup is written: nothing is changed")],
  [["safety backup"], ["EMFILE"], diskErrors("EMFILE as the safety backup's manifest is created: nothing is changed")],
  [
    ["safety backup"],
    ["EACCES"],
    restores("a damaged table: no safety backup can be taken, a restore without one mends it"),
  ],
  [["safety backup"], ["hang", "slow", "corrupt"], none("a backup like any other: the dump's steps")],

  [
    ["load start"],
    ["killed child", "exit 0 too early"],
    mysqlMatrix("a client that ends by kill -9 before it has taken anything: the way back"),
  ],
  [
    ["load middle"],
    ["killed child", "exit 0 too early"],
    mysqlMatrix("a client that ends by kill -9 in the middle of the dump: the way back"),
  ],
  [
    ["load end"],
    ["killed child", "exit 0 too early"],
    mysqlMatrix("a client that ends by kill -9 when it has done what it was given, without a word of it: the way back"),
  ],
  [load, ["refused", "reset"], mysqlMatrix("a connection that breaks in the middle of the load: the way back")],
  [load, ["hang", "slow"], restores("SIGTERM in the middle: no success, and the way back is in the log")],
  [
    ["load middle"],
    ["EIO"],
    diskErrors("EIO as the backup is read for the second time, in the middle of the load: the way back is named"),
  ],
  [["load start", "load end"], ["EIO"], none("reads as in the middle")],
  [load, ["short", "corrupt"], none("the file was read to its end before, and it is the same file: faults/hostile")],
  [
    load,
    ["ENOSPC", "EACCES"],
    restores("the message names the state before and the command that brings it back, and it does"),
  ],

  [
    mysqlSteps,
    ["EMFILE"],
    mysqlMatrix("open files: with any limit, a restore is done, or nothing was changed, or the way back is named"),
  ],
  [mysqlSteps, ["clock jump"], none("no time plays a part in it but in the file's name: faults/clock")],
];

describeTable("a backup and a restore in place, MariaDB", mysqlSteps, mysqlRules);

const besideSteps = ["create", "compare", "exchange", "drop"];

/** A restore beside: restore-steps has both engines. */
const besideRules: readonly Rule[] = [
  [
    besideSteps,
    ["refused"],
    none("the same login was let in for the plan; a session that is refused ends as one that breaks"),
  ],
  ...besideSteps.map((step): Rule => [[step], ["reset"], stepwise(`restore, ${step}: the server ends every session`)]),
  ...besideSteps.map((step): Rule => [[step], ["killed child"], stepwise(`restore, ${step}: its client is killed`)]),
  ...besideSteps.map((step): Rule => [[step], ["ENOSPC"], stepwise(`restore, ${step}: the server's disk is full`)]),
  ...besideSteps.map((step): Rule => [
    [step],
    ["exit 0 too early"],
    stepwise(`restore, ${step}: its client ends with status 0`),
  ]),
  [["create"], ["hang", "slow"], beside("a server that cannot create a database for long is not waited for")],
  [
    ["compare"],
    ["hang", "slow"],
    restoreStops("SIGTERM in the middle ends the restore with status 143 and changes nothing"),
  ],
  [["exchange"], ["hang"], stepwise("restore, exchange: it is told to stop")],
  [["exchange"], ["slow"], stepwise("restore, exchange: the server is slow")],
  [["drop"], ["hang", "slow"], stepwise("restore, drop: it is told to stop")],
  [["compare"], ["short"], stepwise("restore: a row that is lost on its way is found by comparing")],
  [["compare"], ["corrupt"], none("a restore counts rows, and does not read them: prove")],
  [["create", "exchange", "drop"], ["short", "corrupt"], none("the answer is that it is done, or an error")],
  [besideSteps, ["EIO"], none("the server refuses as with a full disk; nothing is written here")],
  [
    ["create"],
    ["EACCES"],
    rows("R6: the owner without CREATEDB, beside an extension of an administrator: in place; its rows stay"),
  ],
  [["exchange"], ["EACCES"], beside("the owner, who is no superuser, with CREATEDB")],
  [["compare", "drop"], ["EACCES"], none("who may create a database may read it and drop it")],
  [
    besideSteps,
    ["EMFILE"],
    mysqlMatrix("open files: with any limit, a restore is done, or nothing was changed, or the way back is named"),
  ],
  [besideSteps, ["clock jump"], none("no time plays a part in it but in a name, and one that is taken is passed over")],
];

describeTable("a restore beside", besideSteps, besideRules);

const restSteps = ["prove", "roles", "list", "sign", "report"];

const restRules: readonly Rule[] = [
  [["prove", "roles"], ["refused"], none("the same login was let in for the plan: connect")],
  [["prove"], ["reset"], stepwise("verify, compare: the server ends every session")],
  [["prove"], ["hang", "slow"], stepwise("verify, create: it is told to stop")],
  [["prove"], ["short"], verify("finds and names what a client program altered: a row missing")],
  [["prove"], ["corrupt"], verify("finds and names what a client program altered: a row changed")],
  [["prove"], ["ENOSPC"], stepwise("verify, create: the server's disk is full")],
  [
    ["prove"],
    ["EIO"],
    matrix("a proof that cannot be written: the run fails, and nothing says that the backup is proved"),
  ],
  [["prove"], ["EACCES"], none("a user that may not create databases: verify ends as a restore does at create")],
  [
    ["prove"],
    ["EMFILE"],
    matrix("open files: with any limit, a list is complete, and a proof is there or was not earned"),
  ],
  [["prove"], ["killed child"], stepwise("verify, create: its client is killed")],
  [["prove"], ["exit 0 too early"], stepwise("verify, compare: its client ends with status 0")],
  [
    ["prove"],
    ["clock jump"],
    verify("retention keeps the newest proved backup; a proof that is forged by its name counts for nothing"),
  ],

  ...Object.entries({
    "killed child": "its client is killed",
    ENOSPC: "the server's disk is full",
    reset: "the server ends every session",
    hang: "it is told to stop",
    slow: "the server is slow",
    "exit 0 too early": "its client ends with status 0",
  }).map(([fault, how]): Rule => [["roles"], [fault], stepwise(`restore --all, a role is created: ${how}`)]),
  [["roles"], ["EIO"], none("the server refuses as with a full disk; nothing is written here")],
  [["roles"], ["EACCES"], accounts("R15, M10: accounts with passwords, roles, grants, databases with their collation")],
  [
    ["roles"],
    ["short", "corrupt"],
    none("their file is a backup like any other, checked to its last byte before it is used: reading"),
  ],
  [["roles"], ["EMFILE", "clock jump"], none("their backup is written and read as that of a database")],

  [["list"], ["refused"], lists("works without a database and when S3 cannot be reached, which it says")],
  [["list"], ["reset", "slow"], storage("listing, reading and deleting try again too")],
  [["list"], ["hang"], storage("ends a request that hangs, and what was sent is taken back")],
  [["list"], ["short"], storage("half a listing never passes for a whole one")],
  [["list"], ["corrupt"], hostile("a listing with anything anywhere")],
  [["list"], ["ENOSPC"], none("it writes nothing; with --html as report does")],
  [["list"], ["EIO"], diskErrors("EIO as list reads the folder: it does not say that there are no backups")],
  [
    ["list"],
    ["EACCES"],
    trust("S6: a BACKUP_DIR that belongs to another user is refused by every script, and by its dry run"),
  ],
  [
    ["list"],
    ["EMFILE"],
    matrix("open files: with any limit, a list is complete, and a proof is there or was not earned"),
  ],
  [
    ["list"],
    ["clock jump"],
    clock("I3: a clock that is 400 days ahead deletes nothing and says so; its backup is never the newest"),
  ],
  [["list", "sign", "report"], ["killed child", "exit 0 too early"], none("no child")],

  [["sign"], ["short"], hostileBucket("its signature removed: refused, nothing is touched")],
  [
    ["sign"],
    ["corrupt"],
    hostileBucket("the newest one replaced, and its manifest made to fit: refused, nothing is touched"),
  ],
  [["sign"], ["clock jump"], hostileBucket("the older one replayed under a newer name: refused, nothing is touched")],
  [
    ["sign"],
    ["EACCES"],
    trust("S6: secrets as Docker and Kubernetes mount them are read; one that others can change is not"),
  ],
  [["sign"], ["refused", "reset", "hang", "slow", "ENOSPC", "EIO", "EMFILE"], none("a sum over a text in memory")],

  [["report"], ["hang"], matrix("a report that S3 does not take: the run is told to stop, and ends")],
  [["report"], ["slow"], matrix("a report that S3 takes slowly: the run waits for it")],
  [["report"], ["ENOSPC"], matrix("a report on a full disk: the page before stays, and the run is good")],
  [["report"], ["EIO"], diskErrors("EIO as the report is written: the page before stays, and the run is good")],
  [
    ["report"],
    ["refused", "reset", "short", "corrupt", "EACCES", "EMFILE"],
    matrix("a report that cannot be written, locally or in S3: the run is good and says so"),
  ],
  [["report"], ["clock jump"], none("it shows times and decides nothing")],
];

describeTable("verify, roles, list, signatures, the report", restSteps, restRules);

test("the tables name only tests that bun registers", async () => {
  const tests = testsIn([...backupRules, ...mysqlRules, ...besideRules, ...restRules]);
  expect(await lostTests(tests)).toEqual([]);
});
