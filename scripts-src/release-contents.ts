/** What the executables hold besides our own code: packages with their licences. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./compile.ts";

interface Bundled {
  name: string;
  version: string;
  /** SPDX. */
  license: string;
  /** Its licence's text; of a package that brings none, where it can be read. */
  text: string;
}

interface PackageFile {
  name: string;
  version: string;
  license?: string;
  homepage?: string;
  dependencies?: Record<string, string>;
}

const readPackage = (folder: string) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageFile;

/** Every package that is needed to run, sorted by name, and Bun itself. */
export function bundled(): Bundled[] {
  const folders = new Set<string>();
  const visit = (folder: string) => {
    for (const name of Object.keys(readPackage(folder).dependencies ?? {})) {
      const found = locate(name, folder);
      if (!found || folders.has(found)) continue;
      folders.add(found);
      visit(found);
    }
  };
  visit(root);
  return [...folders, join(root, "node_modules/bun")].map(describe).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** As node looks for it: beside the package that needs it, then further up. */
function locate(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(join(found, "package.json"))) return found;
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

function describe(folder: string): Bundled {
  const { name, version, license = "see its text", homepage } = readPackage(folder);
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const elsewhere = homepage ?? `https://www.npmjs.com/package/${name}`;
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : `The text of the licence: ${elsewhere}`;
  return { name, version, license, text };
}

/** One text with all of them. */
export const licenses = (packages: readonly Bundled[]): string =>
  packages
    .map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`)
    .join(`\n${"=".repeat(80)}\n\n`);

/** A list of them for programs: CycloneDX 1.6 as JSON. */
export function sbom(version: string, timestamp: Date, packages: readonly Bundled[]): string {
  const components = packages.map(({ name, version: its, license }) => ({
    type: "library",
    name,
    version: its,
    purl: `pkg:npm/${name.replace("@", "%40")}@${its}`,
    licenses: [license.includes(" ") ? { license: { name: license } } : { license: { id: license } }],
  }));
  const component = { type: "application", name: "backup_scripts", version, licenses: [{ license: { id: "MIT" } }] };
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { timestamp: timestamp.toISOString(), component },
    components,
  };
  return `${JSON.stringify(bom, undefined, 2)}\n`;
}
