import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { findCommand } from "../src/command";
import { findPython } from "../src/python";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "foreword-programs-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function program(path: string, script = "exit 0"): string {
  const whole = join(home, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, `#!/bin/sh\n${script}\n`);
  chmodSync(whole, 0o755);
  return whole;
}

const find = (configured = "", ...path: string[]) =>
  findCommand({
    configured,
    searchPath: path.map((each) => (each.startsWith(".") ? each : join(home, each))).join(delimiter),
    environment: join(home, "own"),
    workspace: [join(home, "workspace")],
  });

test("the setting comes first, then the PATH, then what was set up", async () => {
  const configured = program("there/foreword");
  const onPath = program("bin/foreword");
  const own = program("own/bin/foreword");
  assert.deepEqual(await find(configured, "bin"), { command: configured, from: "settings" });
  assert.deepEqual(await find("", "empty", "bin"), { command: onPath, from: "PATH" });
  assert.deepEqual(await find("", "empty"), { command: own, from: "setup" });
});

test("nothing of an open folder is run, nor by a link from or to it, nor by a relative entry of the PATH", async () => {
  const planted = program("workspace/bin/foreword");
  const real = program("bin/foreword");
  mkdirSync(join(home, "linked"));
  symlinkSync(planted, join(home, "linked/foreword"));
  symlinkSync(join(home, "bin"), join(home, "workspace/link"));
  for (const path of [["workspace/bin"], ["linked"], ["./workspace/bin", "."]]) {
    assert.ok("problem" in (await find("", ...path)), path.join());
  }
  assert.deepEqual(await find("", "workspace/bin", "bin"), { command: real, from: "PATH" });
});

const WRONG: [string, string, string][] = [
  ["a relative setting", "bin/foreword", "no absolute path"],
  ["a setting that names nothing", "/nowhere/foreword", "no program that can be run"],
];
for (const [name, configured, told] of WRONG) {
  test(`${name} is told, and the settings are the remedy`, async () => {
    program("bin/foreword");
    const missing = await find(configured, "bin");
    assert.ok("problem" in missing && missing.problem.includes(told) && missing.remedy === "settings");
  });
}

test("nothing anywhere: a set-up is the remedy", async () => {
  const missing = await find("", "empty");
  assert.ok("problem" in missing && missing.remedy === "setup");
});

const python = (path: string, version: string, ensurepip = 1): string =>
  program(path, `echo "${version.replace(".", " ")} ${ensurepip}"`);

test("the newest Python that is new enough is taken", async () => {
  python("a/python3", "3.9");
  const newer = python("b/python3.13", "3.13");
  python("b/python3", "3.11");
  const found = await findPython("", [join(home, "a"), join(home, "b")].join(delimiter), []);
  assert.deepEqual(found, { program: newer, version: [3, 13], makesEnvironments: true });
});

const NO_PYTHON: [string, () => string, RegExp][] = [
  ["none at all", () => "", /no Python on the PATH/],
  ["an old one", () => python("bin/python3", "3.9"), /newest one found is 3\.9/],
  ["one without ensurepip", () => python("bin/python3", "3.12", 0), /apt-get install python3\.12-venv/],
  ["one that does not work", () => program("bin/python3", "exit 1"), /no Python on the PATH/],
];
for (const [name, make, told] of NO_PYTHON) {
  test(`no Python to set up with, ${name}: said with what to do`, async () => {
    make();
    const found = await findPython("", join(home, "bin"), []);
    assert.ok("problem" in found && told.test(found.problem), JSON.stringify(found));
  });
}

test("a Python of an open folder is not run", async () => {
  program("workspace/python3", `touch ${join(home, "ran")}; echo 3 12 1`);
  const found = await findPython("", join(home, "workspace"), [join(home, "workspace")]);
  assert.ok("problem" in found);
});
