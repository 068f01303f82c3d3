import assert from "node:assert/strict";
import { test } from "node:test";
import { isBusy, type Running, type ServerStatus, shown } from "../src/status";

const RUNNING: Running = { state: "running" };
const READY: ServerStatus = {
  engine: { state: "ready", model: "qwen2.5-coder-0.5b", device: "cpu" },
  index: {
    state: "connected",
    roots: [{ root: "/home/ada/shop", state: "ready", files: 1234, symbols: 5678 }],
  },
  lastCompletion: { promptTokens: 1000, cachedTokens: 930 },
  lastEmptyReason: "",
};

const HEADLINES: [string, Running, ServerStatus | undefined, string, string, string][] = [
  ["all is well", RUNNING, READY, "", "$(book) Foreword", "quiet"],
  ["before the first answer", RUNNING, undefined, "", "$(book) Foreword", "quiet"],
  ["paused", RUNNING, READY, "for python", "$(debug-pause) Foreword", "quiet"],
  [
    "not installed",
    { state: "missing", why: "none" },
    undefined,
    "",
    "$(warning) Foreword: not set up",
    "warning",
  ],
  ["crashed", { state: "failed", why: "killed" }, READY, "", "$(error) Foreword: stopped", "error"],
  [
    "the model loads",
    RUNNING,
    { ...READY, engine: { state: "starting", progress: { stage: "loading weights", done: 9, total: 20 } } },
    "",
    "$(loading~spin) Foreword: loading weights 45%",
    "quiet",
  ],
  [
    "the model loads, and nobody can say how far it is",
    RUNNING,
    { ...READY, engine: { state: "starting", progress: { stage: "loading", total: 0, stageS: 12.6 } } },
    "",
    "$(loading~spin) Foreword: loading, 12 s",
    "quiet",
  ],
  [
    "no model",
    RUNNING,
    { ...READY, engine: { state: "failed" } },
    "",
    "$(warning) Foreword: no model",
    "warning",
  ],
  [
    "every endpoint is gone",
    RUNNING,
    { ...READY, engine: { state: "ready", endpoints: [{ state: "waiting" }, { state: "unusable" }] } },
    "",
    "$(warning) Foreword: no model",
    "warning",
  ],
  [
    "one endpoint is left",
    RUNNING,
    { ...READY, engine: { state: "ready", endpoints: [{ state: "waiting" }, { state: "ready" }] } },
    "",
    "$(book) Foreword",
    "quiet",
  ],
  [
    "files are read",
    RUNNING,
    {
      ...READY,
      index: { state: "connected", roots: [{ state: "indexing", filesDone: 2500, files: 100000 }] },
    },
    "",
    "$(loading~spin) Foreword: reading 2,500 of 100,000 files",
    "quiet",
  ],
  [
    "it is known how long that takes",
    RUNNING,
    {
      ...READY,
      index: {
        state: "connected",
        roots: [{ state: "indexing", filesDone: 2500, files: 100000, secondsLeft: 107.6 }],
      },
    },
    "",
    "$(loading~spin) Foreword: reading 2,500 of 100,000 files, 108 s left",
    "quiet",
  ],
  [
    "it is over in a moment",
    RUNNING,
    {
      ...READY,
      index: {
        state: "connected",
        roots: [{ state: "indexing", filesDone: 2500, files: 3000, secondsLeft: 1.2 }],
      },
    },
    "",
    "$(loading~spin) Foreword: reading 2,500 of 3,000 files",
    "quiet",
  ],
  [
    "the index starts",
    RUNNING,
    { ...READY, index: { state: "unavailable", reason: "the index service is starting" } },
    "",
    "$(loading~spin) Foreword: index starting",
    "quiet",
  ],
  [
    "the index is gone",
    RUNNING,
    { ...READY, index: { state: "unavailable", reason: "no socket" } },
    "",
    "$(warning) Foreword: no index",
    "warning",
  ],
];

for (const [name, running, status, paused, text, level] of HEADLINES) {
  test(`headline: ${name}`, () => {
    const told = shown(running, status, paused);
    assert.equal(told.text, text);
    assert.equal(told.level, level);
  });
}

test("a suggestion that is waited for turns, unless there is more to say", () => {
  assert.equal(shown(RUNNING, READY, "", true).text, "$(loading~spin) Foreword");
  assert.equal(shown(RUNNING, READY, "python", true).text, "$(debug-pause) Foreword");
  assert.match(shown(RUNNING, { engine: { state: "failed" } }, "", true).text, /no model/);
});

test("rows tell model, index, cache, the last empty answer and what is wrong with settings", () => {
  const status = {
    ...READY,
    lastEmptyReason: "the file is excluded",
    complaints: ["foreword.waitS cannot be -1"],
  };
  assert.deepEqual(shown(RUNNING, status, "").rows, [
    ["Model", "qwen2.5-coder-0.5b on cpu"],
    ["Index", "shop: 1,234 files, 5,678 symbols"],
    ["Cache", "93% of the last prompt of 1,000 tokens was cached"],
    ["Last empty answer", "the file is excluded"],
    ["Settings", "foreword.waitS cannot be -1"],
  ]);
});

test("an endpoint that fails is told with its error", () => {
  const engine = {
    state: "ready" as const,
    endpoints: [{ endpoint: "http://gpu", state: "waiting", lastError: "refused" }],
  };
  const rows = shown(RUNNING, { engine }, "").rows;
  assert.ok(rows.some(([name, value]) => name === "Endpoint" && value === "http://gpu: refused"));
});

test("a look every second only while something goes on", () => {
  assert.equal(isBusy(READY), false);
  assert.equal(isBusy(undefined), false);
  assert.equal(isBusy({ engine: { state: "starting" } }), true);
  assert.equal(isBusy({ index: { roots: [{ state: "listing" }] } }), true);
});
