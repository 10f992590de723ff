/** Settings as lines of `.env.sh`. What neither kind of quotes can hold is refused: give it in the environment. */
export function settingsFile(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join("");
}

function quoted(value: string): string {
  if (!value.includes("'")) return `'${value}'`;
  if (!/["$`\\]/.test(value)) return `"${value}"`;
  throw new Error(`.env.sh cannot hold this value: ${value}`);
}
