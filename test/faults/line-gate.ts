/** A stop at a chosen line of what a restore sends to MySQL or MariaDB, so that something can happen to it just there. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import { clientName, dumpName, type MysqlServer } from "../support/servers/mysql.ts";
import { tempDir } from "../support/machine/temp.ts";

/** What happens at a line. */
export interface Stop {
  /** Number of the line, counted over all sessions from 1 ... */
  at?: number;
  /** ... or how the line begins. */
  line?: string;
  /** Whether the line still reaches the server. */
  passes: boolean;
  /** Process that is killed with -9 then; the restore by default. */
  pid?: number;
  /** How long (ms) that waits once the line has passed. */
  delay?: number;
}

export interface LineGate {
  /** The value for DB_CLIENT_DIR. */
  clientDir: string;
  /** What happens in the next run; nothing without it. Counts from 1 again. */
  set(stop?: Stop): void;
  /** Lines that were sent since `set`. */
  count(): number;
}

/** The sessions that change what belongs to an exchange are not in a database of the restore. */
const sessions = "*--unbuffered*--database=information_schema*";

/** Reads the stop anew for each client: `count` is of all of them, which take turns. */
const program = String.raw`
  $| = 1; binmode STDIN; binmode STDOUT; my ($dir, $restore) = @ARGV;
  sub slurp { my $text = ''; if (open my $file, '<', "$dir/$_[0]") { $text = <$file> // ''; close $file } chomp $text; return $text }
  my ($at, $start, $passes, $pid, $delay) = map { slurp($_) } qw(at line passes pid delay);
  while (my $line = <STDIN>) {
    my $count = (slurp('count') || 0) + 1; open my $file, '>', "$dir/count"; print $file $count; close $file;
    if (($at && $count == $at) || ($start ne '' && index($line, $start) == 0)) {
      print $line if $passes;
      select undef, undef, undef, $delay / 1000 if $delay;
      kill 9, $pid || $restore;
      exit 0;
    } else { print $line }
  }`;

/** Client programs of `server` that pass on line by line what the restore sends to change the database. */
export function lineGate(server: MysqlServer): LineGate {
  const dir = tempDir("lines");
  const file = join(dir, "gate.pl");
  writeFileSync(file, program);
  // unlike in a pipeline, a client that cannot connect ends it all at once
  const pass = `case " $* " in ${sessions}) pipe='${dir}'/pipe.$$; mkfifo "$pipe"; exec 3<&0
    perl '${file}' '${dir}' $PPID <&3 3<&- > "$pipe" & gate=$!
    "$REAL" "$@" < "$pipe" 3<&-; status=$?; rm "$pipe"; kill $gate 2> /dev/null; exit $status;; esac; exec "$REAL" "$@"`;
  const programs = [dumpName(server.family), clientName(server.family)];
  return {
    clientDir: clientsWith(server.clientDir, { [clientName(server.family)]: pass }, programs),
    set(stop) {
      const { at = "", line = "", passes = false, pid = "", delay = "" } = stop ?? {};
      const all = { at, line, passes: passes ? 1 : "", pid, delay };
      for (const [name, value] of Object.entries(all)) writeFileSync(join(dir, name), `${value}\n`);
      rmSync(join(dir, "count"), { force: true });
    },
    count: () => Number(readFileSync(join(dir, "count"), "utf8")),
  };
}
