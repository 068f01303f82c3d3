import assert from "node:assert/strict";
import { test } from "node:test";
import { Crashes, MOST, WITHIN_MS } from "../src/crashes";

test("each crash waits longer than the one before, and the fifth is the last", () => {
  const crashes = new Crashes();
  const waits = Array.from({ length: MOST }, (_, at) => crashes.next(at * 1000));
  assert.deepEqual(waits, [200, 400, 800, 1600, undefined]);
});

test("crashes of long ago do not count", () => {
  const crashes = new Crashes();
  for (let at = 0; at < 20; at += 1) {
    assert.equal(crashes.next(at * (WITHIN_MS + 1)), 200);
  }
});

test("a person who starts anew has all five again", () => {
  const crashes = new Crashes();
  for (let at = 0; at < MOST; at += 1) {
    crashes.next(0);
  }
  crashes.forget();
  assert.equal(crashes.next(1), 200);
});
