/** container/kubernetes: manifests by Kubernetes' own schema, and what they refer to exists. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { CronJob, Job } from "kubernetes-models/batch/v1";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import type { IPodSpec } from "kubernetes-models/v1";
import { settingNames } from "../../scripts-src/settings/settings.ts";

const folder = resolve(import.meta.dir, "../../container/kubernetes");
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const { version } = JSON.parse(readFileSync(join(folder, "../../package.json"), "utf8")) as { version: string };

interface Kustomization {
  resources: string[];
  configMapGenerator: { name: string; envs: string[] }[];
  secretGenerator: { name: string; files: string[] }[];
  images: { name: string; newName: string; newTag: string }[];
}
const kustomization = Bun.YAML.parse(read("kustomization.yaml")) as Kustomization;
const parse = (file: string) => Bun.YAML.parse(read(file));

const kinds: Record<string, new (manifest: never) => { validate(): void }> = { CronJob, Job, NetworkPolicy };

test.each(["backup.yaml", "verify.yaml", "restore.yaml", "network-policy.yaml"])(
  "%s is valid by Kubernetes' schema",
  (file) => {
    const manifest = parse(file) as { kind: string };
    const Kind = kinds[manifest.kind];
    if (!Kind) throw new Error(`${file} is a ${manifest.kind}`);
    new Kind(manifest as never).validate();
  },
);

test("a key that Kubernetes does not know is noticed", () => {
  const wrong = parse("backup.yaml") as { spec: { concurrencyPolicy: string } };
  wrong.spec.concurrencyPolicy = "Never";
  expect(() => new CronJob(wrong as never).validate()).toThrow(/concurrencyPolicy/);
});

test("kustomization.yaml names what is there; a restore is not part of it", () => {
  for (const file of kustomization.resources) expect(existsSync(join(folder, file))).toBe(true);
  expect(kustomization.resources).not.toContain("restore.yaml");
  expect(kustomization.images.map(({ newTag }) => newTag)).toEqual([version]);
  const lines = read("settings.env").trim().split("\n");
  for (const line of lines) expect(settingNames).toContain(line.split("=")[0] as "S3_URL");
  for (const file of kustomization.secretGenerator.flatMap(({ files }) => files))
    expect(read("secrets/README.md")).toContain(`> ${file.replace("secrets/", "")}\n`);
});

const pods: [string, string[], () => IPodSpec][] = [
  ["backup.yaml", ["backup", "--upload"], () => podOf((parse("backup.yaml") as CronJob).spec?.jobTemplate.spec)],
  ["verify.yaml", ["verify", "--from-s3"], () => podOf((parse("verify.yaml") as CronJob).spec?.jobTemplate.spec)],
  ["restore.yaml", ["restore", "--from-s3", "--yes"], () => podOf((parse("restore.yaml") as Job).spec)],
];
function podOf(job: { template: { spec?: IPodSpec } } | undefined): IPodSpec {
  if (!job?.template.spec) throw new Error("no pod");
  return job.template.spec;
}

describe.each(pods)("the pod of %s", (_, args, pod) => {
  const [container] = pod().containers;

  test("runs the script, with real settings and secrets that are mounted", () => {
    expect(container?.args).toEqual(args);
    for (const { name, value } of container?.env ?? []) {
      expect(settingNames).toContain(name.replace(/_FILE$/, "") as "S3_URL");
      const file = value?.replace("/run/secrets/backup/", "secrets/") ?? "";
      expect(kustomization.secretGenerator.flatMap(({ files }) => files)).toContain(file);
    }
    const names = [kustomization.configMapGenerator[0]?.name, kustomization.secretGenerator[0]?.name];
    expect([container?.envFrom?.[0]?.configMapRef?.name, pod().volumes?.[0]?.secret?.secretName]).toEqual(names);
    expect(container?.volumeMounts?.map(({ name }) => name)).toEqual(pod().volumes?.map(({ name }) => name));
  });

  test("N7: has no service links, no token, and is locked up", () => {
    const { enableServiceLinks, automountServiceAccountToken, securityContext } = pod();
    expect([enableServiceLinks, automountServiceAccountToken, securityContext?.runAsNonRoot]).toEqual([
      false,
      false,
      true,
    ]);
    expect(container?.securityContext).toEqual({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
    });
  });
});

test("the network policy is for these pods and lets nobody in", () => {
  const { spec } = parse("network-policy.yaml") as NetworkPolicy;
  const labels = (parse("backup.yaml") as CronJob).spec?.jobTemplate.spec?.template.metadata?.labels;
  expect(labels).toEqual(spec?.podSelector?.matchLabels as Record<string, string>);
  expect([spec?.policyTypes, spec?.ingress]).toEqual([["Ingress", "Egress"], []]);
});

test("N12: libraries.sh finds the packages of libraries that Debian 12 knows by their path in /lib", () => {
  if (!existsSync("/usr/bin/dpkg")) return;
  const ran = Bun.spawnSync(["sh", join(folder, "../libraries.sh"), "/bin/bash", "/usr/bin/perl"]);
  const packages = ran.stdout.toString().trim().split("\n");
  expect(packages).toEqual(expect.arrayContaining(["libc6", expect.stringMatching(/^libtinfo\d/)]));
  expect(Bun.spawnSync(["dpkg", "-s", ...packages]).exitCode).toBe(0);
});
