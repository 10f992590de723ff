export interface Login {
  user?: string;
  password?: string;
}

/** What the servers of all engines can do. */
export interface DatabaseServer {
  port: number;
  /** Name and password of the administrator. */
  user: string;
  password: string;
  /** Folder of the client programs that fit this server. */
  clientDir: string;
  /** Settings that name a database of it in parts. */
  settings(database: string, login?: Login): Record<string, string>;
  /** What the client program prints for `text`: rows, without column names. The first error throws. */
  sql(database: string, text: string): Promise<string>;
  /** Creates a database and runs SQL in it. */
  createDatabase(name: string, sql?: string): Promise<void>;
  dropDatabase(name: string): Promise<void>;
  /** Names of all databases, or of those that are LIKE a pattern. */
  databases(like?: string): Promise<string[]>;
  /** Ends the server at once, as a crash would. */
  crash(): Promise<void>;
  /** Starts it again after `crash`, on the same port. */
  restart(): Promise<void>;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
}
