import { benchRestore } from "./test/bench/database.ts";
console.log(await benchRestore(1_500_000, 3));
