import assert from "node:assert/strict";
import { test } from "node:test";
import { type BlockNote, Blocks, told } from "../src/editBlocks";

const note = (more: Partial<BlockNote>): BlockNote => ({ edit: "e", block: 0, state: "begun", ...more });
const replace = {
  type: "replace",
  path: "a.py",
  anchor: { type: "search", text: "old\n" },
  replacement: "one\ntwo\n",
};

function after(...notes: BlockNote[]): Blocks {
  const blocks = new Blocks();
  for (const each of notes) {
    blocks.take(each);
  }
  return blocks;
}

test("a block grows and is finished at its file", () => {
  const begun = note({ kind: "replace", path: "a.py" });
  const growing = note({ state: "growing", path: "a.py", lines: 5 });
  assert.deepEqual(after(begun, growing).files.get("a.py"), [
    { number: 0, path: "a.py", kind: "replace", state: "growing", lines: 5 },
  ]);
  const finished = note({ state: "finished", path: "a.py", content: replace });
  const [block] = after(begun, growing, finished).files.get("a.py") ?? [];
  assert.equal(block?.state, "finished");
  assert.equal(block && told(block), "2 lines");
});

test("files stand in the order in which they were begun, blocks in that of their numbers", () => {
  const blocks = after(
    note({ path: "b.py" }),
    note({ path: "a.py", block: 1 }),
    note({ path: "b.py", block: 2 }),
  );
  assert.deepEqual([...blocks.files.keys()], ["b.py", "a.py"]);
  assert.deepEqual(
    blocks.files.get("b.py")?.map((each) => each.number),
    [0, 2],
  );
});

test("a second turn takes the place of the first from the block on that it writes anew", () => {
  const blocks = after(
    note({ path: "a.py" }),
    note({ path: "a.py", block: 1 }),
    note({ path: "a.py", state: "finished", content: replace }),
    note({ path: "a.py" }),
  );
  assert.deepEqual(
    blocks.files.get("a.py")?.map((each) => [each.number, each.state]),
    [[0, "begun"]],
  );
});

test("what is told of a block", () => {
  const cases: [Partial<BlockNote>, string][] = [
    [{}, ""],
    [{ state: "growing", lines: 1 }, "1 line"],
    [{ state: "malformed", reason: "it has no divider" }, "it has no divider"],
    [{ state: "finished", content: { type: "rename", path: "a", new_path: "b" } }, "to b"],
    [{ state: "finished", content: { type: "create", path: "a", text: "x\ny" } }, "2 lines"],
    [{ state: "finished", content: { type: "delete", path: "a" } }, ""],
  ];
  for (const [more, expected] of cases) {
    const [block] = after(note({ path: "a", ...more })).files.get("a") ?? [];
    assert.equal(block && told(block), expected);
  }
});

test("files of the plan come first, whether anything of them was written or not", () => {
  const blocks = after(note({ path: "b.py" }), note({ path: "c.py", block: 1 }));
  blocks.plan([
    { verb: "change", path: "a.py" },
    { verb: "create", path: "c.py", state: "writing" },
  ]);
  assert.deepEqual(
    [...blocks.files].map(([path, of]) => [path, of.length, blocks.planned(path)?.state]),
    [
      ["a.py", 0, undefined],
      ["c.py", 1, "writing"],
      ["b.py", 1, undefined],
    ],
  );
});
