export { diskFailure } from "../shared/disk.ts";
