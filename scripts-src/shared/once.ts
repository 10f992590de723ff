/** What `make` makes, made when it is first asked for: zod's schemas take milliseconds that most starts need not spend. */
export function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
