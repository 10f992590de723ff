import manifest from "../../package.json" with { type: "json" };

/** Version of backup_scripts. */
export const version: string = manifest.version;
