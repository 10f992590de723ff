/** SQL for what a query of one column finds, as a JSON array. */
export const jsonList = (query: string): string => `(SELECT coalesce(json_agg(x), '[]') FROM (${query}) AS q(x))`;
