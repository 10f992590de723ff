/** A stop at a chosen line of what a run sends to a database server, so that something can happen to it just there. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";

/** Where a run stops. */
export interface Stop {
  /** Number of the line, counted over all sessions from 1 ... */
  at?: number;
  /** ... or how the line begins, ... */
  line?: string;
  /** ... and which of those that begin so it is: the first by default. */
  nth?: number;
}

/** A client program that stands at the stop. */
export interface Stopped {
  /** Process of the client program. */
  client: number;
}

/**
 * What becomes of the line: it reaches the server, or does not, or another one does. "end": what the client is given ends there, without
 * the line or behind it. "exit 0": the client ends with that status before it.
 */
export type Verdict = "pass" | "drop" | "end" | "pass and end" | "exit 0" | { instead: string };

export interface StatementGate {
  /** The value for DB_CLIENT_DIR. */
  clientDir: string;
  /** Where the next run stops, once; nowhere without it. Counts from 1 again. */
  set(stop?: Stop): void;
  /** Waits until a client stands at the stop, does `act`, and goes on by its verdict. Undefined when `done` comes first. */
  stopped(done: Promise<unknown>, act: (at: Stopped) => Verdict | Promise<Verdict>): Promise<Stopped | undefined>;
  /** Lines that were sent since `set`, which had no `line`. */
  count(): number;
}

/**
 * Reads the stop anew for each client: `count` is of all of them, which take turns. Ends when the client has ended, whose shell is its
 * parent.
 */
const program = String.raw`
  $| = 1; binmode STDIN; binmode STDOUT; my ($dir) = @ARGV; my $parent = getppid;
  sub slurp { my $text = ''; if (open my $file, '<', "$dir/$_[0]") { local $/; $text = <$file> // ''; close $file } chomp $text; return $text }
  sub write_to { my ($name, $text) = @_; open my $file, '>', "$dir/$name.new"; print $file $text; close $file; rename "$dir/$name.new", "$dir/$name" }
  sub next_of { my $number = (slurp($_[0]) || 0) + 1; write_to($_[0], $number); return $number }
  my ($at, $start, $nth, $turn) = map { slurp($_) } qw(at line nth turn);
  while (my $line = <STDIN>) {
    my $count = next_of('count'); my $alike = $start ne '' && index($line, $start) == 0 ? next_of('alike') : 0;
    if ((($at && $count == $at) || $alike >= $nth) && !-e "$dir/reached") {
      write_to('reached', slurp("client.$parent"));
      until (-e "$dir/verdict.$turn") { exit 0 if getppid != $parent; select undef, undef, undef, 0.01 }
      my $verdict = slurp("verdict.$turn");
      if ($verdict eq 'drop') { next }
      elsif ($verdict eq 'end') { exit 0 }
      elsif ($verdict eq 'pass and end') { print $line; exit 0 }
      elsif ($verdict eq 'exit 0') { write_to("status.$parent", 0); kill 9, slurp("client.$parent"); exit 0 }
      elsif ($verdict ne 'pass') { print "$verdict\n"; next }
    }
    print $line;
  }`;

/**
 * Client programs of `dir` of which `client` passes on line by line what a run sends to it, where its command line fits `sessions` (a
 * pattern of the shell).
 */
export function statementGate(
  dir: string,
  { client, dump, sessions = "*" }: { client: string; dump: string; sessions?: string },
): StatementGate {
  const marks = tempDir("gate");
  const file = (name: string) => join(marks, name);
  writeFileSync(file("gate.pl"), program);
  // unlike in a pipeline, a client that cannot connect ends it all at once
  const pass = `case " $* " in ${sessions}) pipe='${marks}'/pipe.$$; mkfifo "$pipe"; exec 8<&0
    "$REAL" "$@" < "$pipe" 8<&- & client=$!; echo $client > '${marks}'/client.$$
    perl '${file("gate.pl")}' '${marks}' <&8 8<&- > "$pipe" & gate=$!
    wait $client; status=$?; rm "$pipe"; kill $gate 2> /dev/null
    [ -e '${marks}'/status.$$ ] && exit 0; [ $status = 137 ] && kill -9 $$; exit $status;; esac; exec "$REAL" "$@"`;
  // a client that stands at the stop looks for its verdict when the next turn has begun, too
  let turn = 0;
  const stopped: StatementGate["stopped"] = async (done, act) => {
    let over = false;
    void done.then(() => (over = true));
    await until("a client is stopped, or the run is over", () => over || existsSync(file("reached")), 120_000);
    if (!existsSync(file("reached"))) return undefined;
    const at = { client: Number(readFileSync(file("reached"), "utf8")) };
    const verdict = await act(at);
    writeFileSync(file("verdict.new"), typeof verdict === "string" ? verdict : verdict.instead);
    renameSync(file("verdict.new"), file(`verdict.${turn}`));
    return at;
  };
  return {
    clientDir: clientsWith(dir, { [client]: pass }, [dump, client]),
    set({ at, line = "", nth = 1 } = {}) {
      const stop = { at: at ?? "", line, nth, turn: ++turn };
      for (const [name, value] of Object.entries(stop)) writeFileSync(file(name), `${value}\n`);
      for (const name of ["count", "alike", "reached"]) rmSync(file(name), { force: true });
    },
    stopped,
    count: () => Number(readFileSync(file("count"), "utf8")),
  };
}
