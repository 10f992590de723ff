import { hostname } from "node:os";
import type { Settings } from "./settings.ts";

/** The name of this installation: SITE_NAME, or the host name. */
export const siteOf = ({ SITE_NAME }: Pick<Settings, "SITE_NAME">): string => SITE_NAME ?? hostname();
