import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { causeOf, SetUpFailed, setUp, stepOf } from "../src/setup";

const MAKE_WHEEL = `
import sys, zipfile
info = "foreword-9.dist-info/"
with zipfile.ZipFile(sys.argv[1] + "/foreword-9-py3-none-any.whl", "w") as wheel:
    wheel.writestr("foreword_test.py", "def main(): print('foreword 9')")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: foreword\\nVersion: 9\\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nforeword = foreword_test:main\\n")
    wheel.writestr(info + "RECORD", "")
`;

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "foreword-setup-"));
  mkdirSync(join(home, "source"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function wanted(lock: string) {
  execFileSync("python3", ["-c", MAKE_WHEEL, join(home, "source")]);
  writeFileSync(join(home, "source/light.txt"), lock);
  const steps: string[] = [];
  return {
    python: "python3",
    tier: "light" as const,
    source: join(home, "source"),
    environment: join(home, "server"),
    signal: new AbortController().signal,
    log: () => {},
    report: (step: string) => steps.push(step),
    steps,
  };
}

test("an environment is made, and its command works", async () => {
  const set = wanted("");
  const command = await setUp(set);
  assert.equal(execFileSync(command, { encoding: "utf8" }).trim(), "foreword 9");
  assert.deepEqual(set.steps, [
    "making an environment",
    "looking which packages are needed",
    "installing Foreword",
    "unpacking what was fetched",
    "trying it",
  ]);
});

test("where the index cannot be reached that is said, and what was there before stays", async () => {
  const set = wanted(
    "nothing==1 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
  );
  mkdirSync(set.environment);
  writeFileSync(join(set.environment, "kept"), "before");
  const before = { ...process.env };
  // nobody listens on the port of the discard protocol
  Object.assign(process.env, {
    PIP_INDEX_URL: "http://127.0.0.1:9/simple",
    PIP_RETRIES: "0",
    PIP_CONFIG_FILE: "/dev/null",
  });
  try {
    await assert.rejects(setUp(set), (error: Error) => {
      assert.ok(error instanceof SetUpFailed);
      assert.match(error.message, /package index (cannot be reached|has no)/);
      return true;
    });
  } finally {
    process.env = before;
  }
  assert.equal(readFileSync(join(set.environment, "kept"), "utf8"), "before");
  assert.ok(!existsSync(`${set.environment}.before`));
});

test("a build without a server says so", async () => {
  const set = wanted("");
  rmSync(join(home, "source/foreword-9-py3-none-any.whl"));
  await assert.rejects(setUp(set), /carries no server/);
});

const CAUSES: [string, RegExp][] = [
  ["WARNING: Retrying after connection broken by 'NewConnectionError(…)'", /there is no network/],
  ["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", /disk is full/],
  [
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    /not the one that was locked/,
  ],
  ["ERROR: No matching distribution found for torch==9", /has no torch==9 for this Python/],
  ["something else", /python ended with status 1: something else/],
];
for (const [line, told] of CAUSES) {
  test(`told to a person: ${told.source}`, () => assert.match(causeOf([line], "python", 1), told));
}

test("pip's lines become steps", () => {
  assert.equal(stepOf("Collecting numpy==2.4.6 (from -r cpu.txt (line 3))"), "fetching numpy");
  assert.equal(stepOf("Installing collected packages: a, b"), "unpacking what was fetched");
  assert.equal(stepOf("  Downloading numpy.whl"), undefined);
});
