/** What the demo needs of a kind of server. */
import type { State } from "../support/expect/oracle.ts";

export interface Snapshot {
  /** Rows by `database.table`, and other things that are counted. */
  rows: Map<string, number>;
  /** A dump of each database. */
  dumps: State[];
}

export interface DemoServer {
  /** For people. */
  name: string;
  port: number;
  /** The administrator's login, for DATABASE_URL. */
  url: string;
  /** Makes the application's login and both sample databases. */
  create(): Promise<void>;
  look(): Promise<Snapshot>;
  /** A command with which the application logs in and reads, and what it needs in the environment. */
  application: { argv: string[]; env: Record<string, string> };
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

export const databases = ["shop", "crm"] as const;
export const login = { user: "web", password: "the-password-of-web" };

/** The second database. */
export const crm = `
  CREATE TABLE contacts (id int PRIMARY KEY, name varchar(80) NOT NULL);
  CREATE TABLE notes (id int PRIMARY KEY, contact int NOT NULL REFERENCES contacts (id), text varchar(200) NOT NULL);`;

/** Lines of name, a sign between, and number, as entries. */
export const counts = (text: string, sign: string): [string, number][] =>
  text.split("\n").map((line) => {
    const at = line.lastIndexOf(sign);
    return [line.slice(0, at), Number(line.slice(at + 1))];
  });
