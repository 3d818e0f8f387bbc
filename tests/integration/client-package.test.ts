// The client as others get it: the tarball, installed into a project that has TypeScript, Node and nothing else of ours.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildClient, type ClientPackage } from "~/cli/build-client";
import { createApiKey } from "~/server/billing/api-keys";
import { addLot, expectLawfulLedger, openLedger, quietLogs, serveApi } from "../setup/billing";
import { createTenant, NOW } from "../setup/tenancy";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TSC = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
const PROGRAM = fileURLToPath(new URL("../client/program.ts", import.meta.url));
const run = promisify(execFile);

let project: string;
let built: ClientPackage;
beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), "client-package-"));
  built = await buildClient(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "a-service", private: true, type: "module" }));
  const npm = ["install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", built.tarball];
  await run("npm", npm, { cwd: project });
  cpSync(PROGRAM, join(project, "program.ts"));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

/** What TypeScript says of files of the project; empty where it has nothing to say. */
async function compile(name: string, config: object): Promise<string> {
  const file = join(project, `tsconfig.${name}.json`);
  writeFileSync(file, JSON.stringify(config));
  return run(process.execPath, [TSC, "-p", file]).then(
    ({ stdout }) => stdout,
    (error: { stdout?: string }) => error.stdout || String(error),
  );
}

const STRICT = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false, // Our declarations are checked as well.
  target: "ES2022",
  types: [],
};

describe("the package of the client", () => {
  it("is small, complete, and brings no other package with it", () => {
    expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
      "billfold-client",
    ]);
    expect(built.dependencies).toBe(0);
    expect(built.packedBytes).toBeLessThan(60_000);
    const installed = join(project, "node_modules/billfold-client");
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    expect(manifest).not.toHaveProperty("dependencies");
    const licenses = readFileSync(join(installed, "THIRD-PARTY-LICENSES.txt"), "utf8");
    for (const name of ["superjson", "copy-anything"]) expect(licenses).toMatch(new RegExp(`^${name} \\d`, "m"));
    expect(licenses.match(/MIT License/g)).toHaveLength(2);
    expect(built.files.map(({ path }) => path)).toEqual(expect.arrayContaining(["README.md", "LICENSE", "index.d.ts"]));
    for (const { path } of built.files.filter(({ path }) => path.endsWith(".js"))) {
      const imports = [...readFileSync(join(installed, path), "utf8").matchAll(/(?:from|import\()\s*"([^"]+)"/g)];
      for (const [, target] of imports) expect(target).toMatch(/^(node:|\.\/)/);
    }
  });

  it.each([
    ["Node's resolution and no types of a runtime", { module: "nodenext", lib: ["ES2022"] }],
    [
      "a bundler's resolution and the DOM's types",
      { module: "esnext", moduleResolution: "bundler", lib: ["ES2022", "DOM"] },
    ],
    [
      "Node's types",
      { module: "nodenext", lib: ["ES2022"], types: ["node"], typeRoots: [join(ROOT, "node_modules/@types")] },
    ],
  ])("compiles strictly with %s, and wrong programs do not", async (_, options) => {
    const compilerOptions = { ...STRICT, ...options, noEmit: true };
    expect(await compile("check", { compilerOptions, files: ["program.ts"] })).toBe("");
  });

  it("says of every procedure exactly what the router says", async () => {
    writeFileSync(
      join(project, "same.ts"),
      `import type { Contract as Packed, BillingFailureCode as PackedCode } from "billfold-client";
       import type { Contract as Live } from "~/client/contract";
       import type { BillingErrorCode } from "~/domain/errors";
       type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
       type Differing = { [R in keyof Live]: { [P in keyof Live[R]]:
         R extends keyof Packed ? P extends keyof Packed[R]
           ? Equal<Flat<Live[R][P]>, Flat<Packed[R][P]>> extends true ? never : \`\${R & string}.\${P & string}\`
           : \`\${R & string}.\${P & string}\` : R }[keyof Live[R]] }[keyof Live];
       type Flat<T> = T extends Date | string | number | boolean | null | undefined ? T
         : T extends (infer I)[] ? Flat<I>[] : { [K in keyof T]: Flat<T[K]> };
       export const procedures: [Differing] extends [never] ? true : Differing = true;
       export const routers: Equal<keyof Live, keyof Packed> = true;
       export const consume: Equal<keyof Live["credits"], keyof Packed["credits"]> = true;
       export const codes: Exclude<BillingErrorCode, PackedCode> extends never ? true : false = true;
       export const others: Equal<Exclude<PackedCode, BillingErrorCode>, "UNREACHABLE" | "UNEXPECTED_ANSWER"> = true;
       // The comparison itself can tell a difference.
       // @ts-expect-error
       export const other: Equal<Flat<Live["credits"]["consume"]>, Flat<Packed["credits"]["grant"]>> = true;
       `,
    );
    const found = await compile("same", {
      extends: join(ROOT, "tsconfig.json"),
      include: [],
      compilerOptions: {
        noEmit: true,
        incremental: false,
        typeRoots: [join(ROOT, "node_modules/@types")],
        plugins: [],
      },
      files: ["same.ts"],
    });
    // Whether the rest of the app compiles is another check's business.
    expect(found.split("\n").filter((line) => line.includes("same.ts"))).toEqual([]);
  });

  it("consumes from a served API, and branches on what is missing", async () => {
    quietLogs();
    const app = await openLedger();
    const api = await serveApi();
    try {
      const { id } = await createTenant();
      await addLot({ organizationId: id, amount: 10 });
      const { key } = await createApiKey({ organizationId: id, name: "service", createdById: null, now: NOW });
      const compilerOptions = { ...STRICT, module: "nodenext", lib: ["ES2022"], outDir: "out" };
      mkdirSync(join(project, "out"), { recursive: true });
      expect(await compile("build", { compilerOptions, files: ["program.ts"] })).toBe("");
      const environment = { PATH: process.env.PATH, BILLFOLD_URL: api.url, BILLFOLD_API_KEY: key, ORGANIZATION_ID: id };
      const { stdout } = await run(process.execPath, ["out/program.js"], { cwd: project, env: environment as never });
      expect(JSON.parse(stdout)).toEqual({
        first: { consumed: 7, available: 3, replayed: false },
        again: { consumed: 7, available: 3, replayed: true },
        refused: "7 wanted, 3 there",
        left: 3,
        newest: ["consume", true],
        spooled: true,
        kept: true,
      });
      expect((await expectLawfulLedger(app.sql, id)).balance).toBe(3);
    } finally {
      await api.close();
      await app.close();
    }
  });
});
