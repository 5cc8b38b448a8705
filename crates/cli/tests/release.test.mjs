// scripts/release, in a repository whose tests and package are stand-ins that note when they are called.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";

const MIGRATION = "supabase/migrations/20260101000000_first.sql";

class Repository {
  constructor(test) {
    this.directory = mkdtempSync(join(tmpdir(), "release-"));
    test.after(() => rmSync(this.directory, { recursive: true }));
    mkdirSync(join(this.directory, "scripts"));
    cpSync(fileURLToPath(new URL("../../../scripts/release", import.meta.url)), join(this.directory, "scripts/release"));
    for (const name of ["scripts/test", "scripts/pack", "bin/cargo"]) {
      this.write(name, `#!/bin/sh\necho "$(basename "$0") $*" >> calls\n`, 0o755);
    }
    this.write("Cargo.toml", '[workspace.package]\nversion = "0.1.0"\n');
    this.write(".gitignore", "/calls\n/target\n");
    this.write(MIGRATION, "select 1;\n");
    this.run("git", "init", "--quiet");
    this.commit("Begin");
  }

  write(path, content, mode) {
    mkdirSync(join(this.directory, path, ".."), { recursive: true });
    writeFileSync(join(this.directory, path), content, { mode });
  }

  read(path) {
    return existsSync(join(this.directory, path)) ? readFileSync(join(this.directory, path), "utf8") : "";
  }

  run(program, ...words) {
    const person = { GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@b.c", GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@b.c" };
    const env = { ...process.env, ...person, PATH: `${join(this.directory, "bin")}:${process.env.PATH}` };
    const { status, stdout, stderr } = spawnSync(program, words, { cwd: this.directory, env, encoding: "utf8" });
    return { status, text: stdout + stderr };
  }

  commit(message) {
    assert.equal(this.run("git", "add", "--all").status, 0);
    const { status, text } = this.run("git", "commit", "--quiet", "--message", message);
    assert.equal(status, 0, text);
  }

  release(version) {
    return this.run(join(this.directory, "scripts/release"), version);
  }

  /** That it said so, and neither tested nor changed anything. */
  refuses(version, reason) {
    const { status, text } = this.release(version);
    assert.notEqual(status, 0, text);
    assert.match(text, reason);
    assert.equal(this.read("calls"), "");
    assert.match(this.read("Cargo.toml"), /"0\.1\.0"/);
  }
}

it("a version is tested, packed and described, and what is left to do is printed", (test) => {
  const repository = new Repository(test);
  const first = repository.release("0.2.0");
  assert.equal(first.status, 0, first.text);
  assert.equal(repository.read("calls"), "cargo update --workspace --offline --quiet\ntest \npack target/release-package\n");
  assert.match(repository.read("Cargo.toml"), /^version = "0\.2\.0"$/m);
  assert.match(first.text, /npm publish target\/release-package\/google-calendar-webhooks-0\.2\.0\.tgz/);
  assert.match(repository.read("CHANGELOG.md"), /^# Changes\n\n## 0\.2\.0, \d{4}-\d\d-\d\d\n\nThe first version\.\n$/);
  assert.equal(repository.run("git", "tag").text, "");

  repository.commit("Release 0.2.0");
  repository.run("git", "tag", "v0.2.0");
  repository.write("supabase/functions/x/index.ts", "//\n");
  repository.commit("Answer sooner");
  repository.write("crates/bench/x", "//\n");
  repository.commit("Measure more");
  repository.write("supabase/migrations/20260202000000_second.sql", "select 2;\n");
  repository.commit("Keep what was said");
  assert.equal(repository.release("0.10.0").status, 0);
  const [, newest, before] = repository.read("CHANGELOG.md").split(/^## /m);
  assert.match(newest, /^0\.10\.0, .*\n\n- Answer sooner\n- Keep what was said\n\n.*adds migrations/);
  assert.match(before, /^0\.2\.0, /);
});

it("nothing is released that is not committed, or that does not come after the last version", (test) => {
  const repository = new Repository(test);
  repository.refuses("next", /three numbers/);
  repository.run("git", "tag", "v0.10.0");
  repository.refuses("0.9.0", /does not come after 0\.10\.0/);
  repository.refuses("0.10.0", /does not come after 0\.10\.0/);
  repository.write("forgotten", "x\n");
  repository.refuses("0.11.0", /not everything is committed/);
});

it("a migration that was published is not to be changed", (test) => {
  const repository = new Repository(test);
  repository.run("git", "tag", "v0.1.0");
  repository.write(MIGRATION, "select 'changed';\n");
  repository.commit("Change it");
  repository.refuses("0.2.0", /20260101000000_first\.sql/);
});

it("what fails its tests is not packed", (test) => {
  const repository = new Repository(test);
  repository.write("scripts/test", "#!/bin/sh\nexit 1\n", 0o755);
  repository.commit("Break it");
  assert.notEqual(repository.release("0.2.0").status, 0);
  assert.doesNotMatch(repository.read("calls"), /pack/);
  assert.equal(repository.read("CHANGELOG.md"), "");
  // Once the tests are mended the version can be prepared again.
  assert.doesNotMatch(repository.read("Cargo.toml"), /0\.2\.0/);
});
