import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkspaceEdit } from "vscode-languageclient";
import { applied, asks, changesOf, only } from "../src/editChanges";

const at = (line: number, character = 0) => ({ line, character });
const line = (number: number, newText: string, annotationId?: string) => ({
  range: { start: at(number), end: at(number + 1) },
  newText,
  ...(annotationId ? { annotationId } : {}),
});

/** As the server sends it: changes, then new files, new names, deletions. */
const EDIT: WorkspaceEdit = {
  documentChanges: [
    { textDocument: { uri: "file:///a.py", version: 3 }, edits: [line(0, "x\n", "foreword")] },
    { textDocument: { uri: "file:///old.py", version: null }, edits: [line(1, "y\n", "foreword")] },
    { kind: "create", uri: "file:///new.py", options: { overwrite: false }, annotationId: "foreword" },
    { textDocument: { uri: "file:///new.py", version: null }, edits: [line(0, "z\n", "foreword")] },
    {
      kind: "rename",
      oldUri: "file:///old.py",
      newUri: "file:///better.py",
      options: { overwrite: false },
      annotationId: "foreword",
    },
    { kind: "delete", uri: "file:///gone.py", annotationId: "foreword" },
  ],
  changeAnnotations: { foreword: { label: "An edit", needsConfirmation: true } },
};

test("an edit is taken apart by file, under the names from before", () => {
  assert.deepEqual(
    changesOf(EDIT).map(({ uri, kind, newUri, edits }) => [uri, kind, newUri, edits.length]),
    [
      ["file:///a.py", "change", undefined, 1],
      ["file:///old.py", "rename", "file:///better.py", 1],
      ["file:///new.py", "create", undefined, 1],
      ["file:///gone.py", "delete", undefined, 0],
    ],
  );
});

test("all files taken is the same edit without its question", () => {
  const all = only(EDIT, changesOf(EDIT));
  assert.equal(all.documentChanges?.length, EDIT.documentChanges?.length);
  assert.ok(!JSON.stringify(all).includes("annotation"));
  assert.ok(!asks(all));
  assert.deepEqual(all.documentChanges?.[0], {
    textDocument: { uri: "file:///a.py", version: 3 },
    edits: [line(0, "x\n")],
  });
});

test("a file that is left is left with its name and all", () => {
  const some = only(
    EDIT,
    changesOf(EDIT).filter((each) => each.kind !== "rename"),
  );
  assert.ok(!JSON.stringify(some).includes("old.py"));
  assert.equal(some.documentChanges?.length, 4);
});

test("who is asked: where an annotation says so, and not where none does", () => {
  assert.ok(asks(EDIT));
  assert.ok(!asks({ documentChanges: EDIT.documentChanges ?? [] }));
  assert.ok(!asks({ ...EDIT, changeAnnotations: { foreword: { label: "x", needsConfirmation: false } } }));
});

test("edits are put into a text, in whatever order they come", () => {
  const text = "a\nb\nc\n";
  const offsetAt = ({ line, character }: { line: number; character: number }) => line * 2 + character;
  const cases: [ReturnType<typeof line>[], string][] = [
    [[], text],
    [[line(1, "B\n")], "a\nB\nc\n"],
    [[line(2, "C\n"), line(0, "A\n")], "A\nb\nC\n"],
    [[{ range: { start: at(1), end: at(1) }, newText: "new\n" }], "a\nnew\nb\nc\n"],
    [[line(0, ""), line(1, ""), line(2, "")], ""],
  ];
  for (const [edits, expected] of cases) {
    assert.equal(applied(text, edits, offsetAt), expected);
  }
});
