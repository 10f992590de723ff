/** A number with its noun, "1 table", "2 tables"; a noun with a plural of its own gives it: "1 entry", "2 entries". */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
