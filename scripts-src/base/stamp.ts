/** A time as it stands in names: UTC, whole seconds, `2026-01-31_03-00-00`. */
export const stampOf = (time: Date): string => time.toISOString().slice(0, 19).replace("T", "_").replaceAll(":", "-");
