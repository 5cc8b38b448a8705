// Projects as others have them: the package that npm packs, installed beside a framework.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = fileURLToPath(new URL("./", import.meta.url));
export const packageDirectory = join(here, "../../cli/package");
export const tools = join(here, "../../../scripts/node_modules");

export class Projects {
  static async start() {
    const projects = new Projects();
    projects.directory = await mkdtemp(join(tmpdir(), "element-"));
    const arguments_ = ["pack", "--json", "--pack-destination", projects.directory];
    const { stdout } = await run("npm", arguments_, { cwd: packageDirectory });
    projects.packed = JSON.parse(stdout)[0];
    return projects;
  }

  stop() {
    return rm(this.directory, { recursive: true });
  }

  /** The files of `app/name` with the packed package and these npm tools, as `npm install` would leave it. */
  async open(name, dependencies = []) {
    const project = new Project();
    project.directory = join(this.directory, name);
    const modules = join(project.directory, "node_modules");
    const into = join(modules, "google-calendar-webhooks");
    await mkdir(into, { recursive: true });
    await run("tar", ["-xzf", join(this.directory, this.packed.filename), "--strip-components=1", "-C", into]);
    for (const dependency of dependencies) {
      await mkdir(join(modules, dependency, ".."), { recursive: true });
      await symlink(join(tools, dependency), join(modules, dependency));
    }
    await cp(join(here, "app", name), project.directory, { recursive: true });
    await writeFile(join(project.directory, "package.json"), JSON.stringify({ private: true, type: "module" }));
    return project;
  }
}

class Project {
  /** Compiles these files alone, with the checker of their framework. */
  async check(files, { checker = ["typescript/bin/tsc", "--project"], skipLibCheck = false } = {}) {
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: "es2022",
      module: "esnext",
      moduleResolution: "bundler",
      verbatimModuleSyntax: true,
      lib: ["es2022", "dom", "dom.iterable"],
      types: [],
      jsx: "react-jsx",
      skipLibCheck,
    };
    const config = join(this.directory, "tsconfig.json");
    await writeFile(config, JSON.stringify({ compilerOptions, files }));
    const [program, ...options] = checker;
    await run(process.execPath, [join(tools, program), ...options, config], { cwd: this.directory }).catch(
      ({ stdout, stderr }) => assert.fail(`${stdout}${stderr}`),
    );
  }

  build() {
    return run(process.execPath, [join(tools, "vite/bin/vite.js"), "build"], { cwd: this.directory });
  }

  /** Vite's own server, until the test ends: "preview" of what is built, or "dev". Resolves with its address. */
  async serve(test, command) {
    const options = [command, "--host", "127.0.0.1", "--port", "0"];
    const server = spawn(process.execPath, [join(tools, "vite/bin/vite.js"), ...options], {
      cwd: this.directory,
      env: { ...process.env, NO_COLOR: "1" },
    });
    test.after(() => server.kill());
    let said = "";
    return new Promise((resolve, reject) => {
      for (const stream of [server.stdout, server.stderr]) {
        stream.on("data", (data) => {
          said += data;
          const address = said.match(/http:\/\/127\.0\.0\.1:\d+\//);
          if (address) resolve(address[0]);
        });
      }
      server.on("exit", () => reject(new Error(`vite ${command} ended: ${said}`)));
    });
  }
}
