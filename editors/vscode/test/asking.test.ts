import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Asking } from "../src/asking";

const SOON_MS = 100;
const LATE_MS = 400;

function later(): { promise: Promise<string>; end: (text: string) => void; fail: (why: Error) => void } {
  let end: (text: string) => void = () => undefined;
  let fail: (why: Error) => void = () => undefined;
  const promise = new Promise<string>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  return { promise, end, fail };
}

test("only what lasts is shown, until the last of all is answered", async (context) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  context.after(() => mock.timers.reset());
  const seen: boolean[] = [];
  const asking: Asking = new Asking(() => seen.push(asking.isLong));
  const [quick, slow, failing] = [later(), later(), later()];

  const first = asking.during(quick.promise);
  mock.timers.tick(SOON_MS);
  quick.end("x");
  assert.equal(await first, "x");
  mock.timers.tick(LATE_MS);
  assert.deepEqual(seen, []);

  const others = [asking.during(slow.promise), asking.during(failing.promise)] as const;
  mock.timers.tick(LATE_MS);
  assert.deepEqual(seen, [true]);
  slow.end("y");
  assert.equal(await others[0], "y");
  assert.deepEqual(seen, [true]);
  failing.fail(new Error("gone"));
  await assert.rejects(others[1], /gone/);
  assert.deepEqual(seen, [true, false]);
});
