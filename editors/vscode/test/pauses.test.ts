import assert from "node:assert/strict";
import { test } from "node:test";
import { isPaused, toggled } from "../src/pauses";

test("a workspace is paused as a whole, a language alone", () => {
  assert.ok(isPaused({ workspace: true, languages: [] }, undefined));
  assert.ok(isPaused({ workspace: false, languages: ["markdown"] }, "markdown"));
  assert.ok(!isPaused({ workspace: false, languages: ["markdown"] }, "python"));
});

test("toggling twice changes nothing", () => {
  assert.deepEqual(toggled(toggled(["a", "c"], "b"), "b"), ["a", "c"]);
});
