// `npm run build:client`: makes of src/client a package that any TypeScript project installs, as dist/billfold-client-<version>.tgz.
// It brings what it needs: JavaScript in one piece, types that are written out, a README and the licenses of what is inside.
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { API } from "typescript/unstable/sync";
import { writeOut } from "./client-contract";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SOURCE = join(ROOT, "src/client");
const NAME = "billfold-client";

export interface ClientPackage {
  tarball: string;
  /** Bytes of the tarball, and of what it unpacks to. */
  packedBytes: number;
  unpackedBytes: number;
  files: { path: string; size: number }[];
  /** What npm installs besides it. */
  dependencies: number;
  /** Packages whose code is inside. */
  bundled: string[];
}

/** Builds the package into a folder. @throws Error where the client does not compile without the server */
export async function buildClient(outDir: string): Promise<ClientPackage> {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  await mkdir(join(ROOT, "dist"), { recursive: true });
  // Below the root, where TypeScript finds superjson and Node's types.
  const work = await mkdtemp(join(ROOT, "dist/client-"));
  try {
    const files = join(work, "package");
    await mkdir(files);
    const [bundled] = await Promise.all([writeScripts(files), writeTypes(work, files)]);
    const manifest = manifestOf(version);
    await writeFile(join(files, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    await copyFile(join(SOURCE, "README.md"), join(files, "README.md"));
    await copyFile(join(ROOT, "LICENSE"), join(files, "LICENSE"));
    await writeFile(join(files, "THIRD-PARTY-LICENSES.txt"), await licensesOf(bundled));
    return { ...(await pack(files, outDir)), dependencies: 0, bundled: bundled.map(({ name }) => name) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function manifestOf(version: string) {
  return {
    name: NAME,
    version,
    description: "The client of Billfold for services: take credits before the work, once.",
    license: "MIT",
    type: "module",
    sideEffects: false,
    engines: { node: ">=20" },
    exports: { ".": { types: "./index.d.ts", default: "./index.js" }, "./package.json": "./package.json" },
    types: "./index.d.ts",
  };
}

// ── JavaScript ───────────────────────────────────────────────────────────────────────────────────────────────

interface Bundled {
  name: string;
  folder: string;
}

/** @returns the packages whose code is inside */
async function writeScripts(into: string): Promise<Bundled[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { index: join(SOURCE, "index.ts") },
    outdir: into,
    bundle: true,
    splitting: true, // The spool, which needs a disk, is loaded only where it is used.
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    external: ["node:*"],
    target: "es2022",
    metafile: true,
    logLevel: "silent",
  });
  const packages = new Map<string, Bundled>();
  for (const input of Object.keys(metafile.inputs)) {
    const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input) ?? [];
    if (name) packages.set(name, { name, folder: join(ROOT, input.slice(0, input.lastIndexOf(name) + name.length)) });
  }
  return [...packages.values()].sort((a, b) => a.name.localeCompare(b.name));
}

async function licensesOf(bundled: Bundled[]): Promise<string> {
  const texts = bundled.map(async ({ name, folder }) => {
    const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no license to give along.`);
    return `${name} ${version}\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
  });
  return `This package contains code of:\n\n${(await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`)}`;
}

// ── Types ────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The client's sources are compiled beside a contract that is written out. So what is published is what this repository
 * runs, and it is known to compile without the server.
 */
async function writeTypes(work: string, into: string): Promise<void> {
  const sources = join(work, "client");
  await mkdir(sources);
  for (const name of await readdir(SOURCE)) {
    if (name.endsWith(".ts")) await copyFile(join(SOURCE, name), join(sources, name));
  }
  await writeFile(join(sources, "contract.ts"), writtenContract());
  const config = {
    compilerOptions: {
      target: "ES2022",
      lib: ["ES2023", "DOM", "DOM.Iterable"],
      module: "esnext",
      moduleResolution: "bundler",
      types: ["node"],
      strict: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: true,
      declaration: true,
      emitDeclarationOnly: true,
      rootDir: "client",
      outDir: "types",
    },
    include: ["client"],
  };
  await writeFile(join(work, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  await run(process.execPath, [tsc, "-p", work]).catch((error: { stdout?: string }) => {
    throw new Error(`The client does not compile without the server:\n${error.stdout ?? error}`);
  });
  await copyReachable("index", join(work, "types"), into);
}

function writtenContract(): string {
  const api = new API({ cwd: ROOT });
  try {
    const snapshot = api.updateSnapshot({ openProjects: [join(ROOT, "tsconfig.json")] });
    const [project] = snapshot.getProjects();
    if (!project) throw new Error("TypeScript found no project.");
    const header =
      "// What services may call: each procedure with its kind, input and output. Written out from Billfold's router.\n";
    return writeOut(project, join(SOURCE, "contract.ts"), header);
  } finally {
    api.close();
  }
}

/** Declarations that the entry leads to, and no others; each import with the extension that Node's resolution asks for. */
async function copyReachable(entry: string, from: string, into: string): Promise<void> {
  const names = [entry];
  for (const name of names) {
    const text = await readFile(join(from, `${name}.d.ts`), "utf8");
    const rewritten = text.replace(/(from |import\()"([^"]+)"/g, (_, before: string, path: string) => {
      if (!path.startsWith("./")) throw new Error(`The types of the client need ${path}, which the package has not.`);
      const target = path.slice(2);
      if (!names.includes(target)) names.push(target);
      return `${before}"./${target}.js"`;
    });
    await writeFile(join(into, `${name}.d.ts`), rewritten);
  }
}

// ── The tarball ──────────────────────────────────────────────────────────────────────────────────────────────

async function pack(
  files: string,
  outDir: string,
): Promise<Pick<ClientPackage, "tarball" | "packedBytes" | "unpackedBytes" | "files">> {
  await mkdir(outDir, { recursive: true });
  const npm = ["pack", "--json", "--silent", "--ignore-scripts", "--offline", "--pack-destination", resolve(outDir)];
  const { stdout } = await run("npm", npm, { cwd: files, shell: process.platform === "win32" });
  const parsed = JSON.parse(stdout) as Packed[] | Record<string, Packed>;
  const [packed] = Object.values(parsed);
  if (!packed) throw new Error("npm packed nothing.");
  return {
    tarball: join(resolve(outDir), packed.filename),
    packedBytes: packed.size,
    unpackedBytes: packed.unpackedSize,
    files: packed.files,
  };
}

interface Packed {
  filename: string;
  size: number;
  unpackedSize: number;
  files: { path: string; size: number }[];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const built = await buildClient(join(ROOT, "dist"));
  const kB = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  for (const { path, size } of built.files) console.log(`  ${kB(size).padStart(9)}  ${path}`);
  console.log(
    `${relative(process.cwd(), built.tarball)}: ${kB(built.packedBytes)} packed, ${kB(built.unpackedBytes)} unpacked,`,
  );
  console.log(`${built.dependencies} dependencies; contains code of ${built.bundled.join(", ")}.`);
  console.log(`npm install ${relative(process.cwd(), built.tarball)}`);
}
