/** Options as scripts declare them: once, as yargs' data. The type of what `act` gets is derived from it. */
import type { InferredOptionTypes, Options } from "yargs";

export type Declared = Readonly<Record<string, Options>>;

type Camel<Name> = Name extends `${infer Word}-${infer Rest}` ? `${Word}${Capitalize<Camel<Rest> & string>}` : Name;

/** What `act` gets: the value of `--from-s3` as `fromS3`. */
export type OptionsOf<D extends Declared> = {
  [Name in keyof InferredOptionTypes<D> as Camel<Name> & string]: InferredOptionTypes<D>[Name];
};

/** An option that is given or not. */
export const flag = (describe: string) => ({ type: "boolean", default: false, describe }) as const;

/** An option with a value, or an argument. */
export const value = (describe: string) => ({ type: "string", requiresArg: true, describe }) as const;
