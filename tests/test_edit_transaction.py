"""An edit is one transaction: positions in the client's units, versions, questions; what came of it is looked at."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import converters, types

from engine.editing.blocks import Create, Delete, Lines, Rename, Replace, Search
from lsp.documents import Change, changed, opened
from lsp.edits.applying import Applied, apply
from lsp.edits.compared import compared
from lsp.edits.files import SourceFile
from lsp.edits.rebase import Stale, all_rebased, rebased
from lsp.edits.transaction import Client, NoTransaction, client_of, text_edits, transaction

ALL = Client("utf-16", versions=True, create=True, rename=True, delete=True, confirms=True, whole=True)


def uri_of(path: str) -> str:
    return f"file:///root/{path}"


def sent(**texts: str) -> dict[str, SourceFile]:
    paths = {name.replace("_", "."): text for name, text in texts.items()}
    return {
        path: SourceFile(path, text, version=3, uri=f"file:///open/{path}") for path, text in paths.items()
    }


def changes_of(blocks, files):
    result = apply(blocks, files)
    assert isinstance(result, Applied), result
    return result.changes


def done(edit: types.WorkspaceEdit) -> dict:
    return converters.get_converter().unstructure(edit)


X = Replace("a.py", Lines(1, 1), "x = 2\n")
FILES = sent(a_py="x = 1\ny = 1\n", b_py="z = 1\n")


def test_one_open_file_is_changed_plainly_and_at_its_version():
    made = transaction(changes_of([X], FILES), uri_of, ALL, "make x two")
    assert not made.asks
    assert made.notes == ()
    assert done(made.edit) == {
        "documentChanges": [
            {
                "textDocument": {"uri": "file:///open/a.py", "version": 3},
                "edits": [
                    {
                        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}},
                        "newText": "x = 2\n",
                    }
                ],
            }
        ]
    }


def test_several_files_ask_and_come_in_an_order_that_loses_nothing():
    blocks = [Delete("b.py"), Rename("a.py", "c.py"), X, Create("d.py", "w = 1\n")]
    made = transaction(changes_of(blocks, FILES), uri_of, ALL, "several")
    assert made.asks
    said = done(made.edit)
    assert said["changeAnnotations"] == {"foreword": {"label": "several", "needsConfirmation": True}}
    kinds = [each.get("kind", "edit") for each in said["documentChanges"]]
    assert kinds == ["create", "edit", "edit", "rename", "delete"]
    for each in said["documentChanges"]:
        assert {part["annotationId"] for part in each.get("edits", [each])} == {"foreword"}
    created = said["documentChanges"][1]
    assert created["textDocument"] == {"uri": "file:///root/d.py", "version": None}
    assert said["documentChanges"][3]["newUri"] == "file:///root/c.py"


def test_a_file_that_is_not_open_is_asked_about():
    closed = {"a.py": SourceFile("a.py", "x = 1\n")}
    made = transaction(changes_of([X], closed), uri_of, ALL, "")
    assert made.asks
    assert done(made.edit)["documentChanges"][0]["textDocument"] == {
        "uri": "file:///root/a.py",
        "version": None,
    }


def test_a_place_that_is_only_near_is_asked_about():
    lines = [f"value_{at} = compute(first_{at}, second_{at})\n" for at in range(12)]
    anchor = "".join(lines[4:8]).replace("second_6", "other_6")
    block = Replace("a.py", Search(anchor), anchor.replace("value_4 =", "result ="))
    files = sent(a_py="".join(lines))
    applied = apply([block], files)
    assert isinstance(applied, Applied)
    assert applied.notes == (
        "a.py: what is replaced at line 5 is near to what the model wrote, not the same",
    )
    made = transaction(applied.changes, uri_of, ALL, "name the result")
    assert made.asks
    assert done(made.edit)["changeAnnotations"]["foreword"]["needsConfirmation"]
    moved = rebased(
        applied.changes[0], msgspec.structs.replace(files["a.py"], text="# new\n" + files["a.py"].text)
    )
    assert transaction([moved], uri_of, ALL, "").asks
    sure = apply([msgspec.structs.replace(block, anchor=Search("".join(lines[4:8])))], files)
    assert not transaction(sure.changes, uri_of, ALL, "").asks


def test_what_a_client_cannot_promise_is_said():
    changes = changes_of([X, Replace("b.py", Lines(1, 1), "z = 2\n")], FILES)
    made = transaction(changes, uri_of, Client(versions=True), "")
    assert not made.asks
    assert [note.split(" ")[3:6] for note in made.notes] == [
        ["not", "ask", "before"],
        ["not", "promise", "to"],
    ]
    made = transaction(changes, uri_of, Client(), "")
    assert list(done(made.edit)["changes"]) == ["file:///open/a.py", "file:///open/b.py"]
    assert "without versions" in made.notes[-1]


@pytest.mark.parametrize(
    ("blocks", "client", "word"),
    [
        ([Create("d.py", "")], Client(versions=True), "create"),
        ([Delete("a.py")], Client(versions=True, create=True), "delete"),
        ([Rename("a.py", "c.py")], Client(versions=True, delete=True), "rename"),
        ([Create("d.py", "")], Client(create=True), "create"),
    ],
)
def test_operations_that_a_client_does_not_know_are_refused(blocks, client, word):
    with pytest.raises(NoTransaction, match=f"cannot {word} files"):
        transaction(changes_of(blocks, FILES), uri_of, client, "")


def test_what_a_client_can_do_is_read_from_its_capabilities():
    assert client_of(types.ClientCapabilities(), "utf-8") == Client("utf-8")
    can = types.WorkspaceEditClientCapabilities(
        document_changes=True,
        resource_operations=[types.ResourceOperationKind.Create, types.ResourceOperationKind.Rename],
        failure_handling=types.FailureHandlingKind.Undo,
        change_annotation_support=types.ChangeAnnotationsSupportOptions(),
    )
    workspace = types.WorkspaceClientCapabilities(workspace_edit=can)
    told = client_of(types.ClientCapabilities(workspace=workspace), "utf-16")
    assert told == Client("utf-16", versions=True, create=True, rename=True, confirms=True, whole=True)


# ---------------------------------------------------------------- positions

LINES = st.lists(st.sampled_from(["a", "ä", "𝒳y", "", "\tx", "b\u2028c"]), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(
    LINES,
    st.data(),
    st.lists(ENDS, min_size=8, max_size=8),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
)
@settings(max_examples=200, deadline=None)
def test_a_client_that_applies_the_edits_has_the_text_that_was_meant(lines, data, ends, ended, encoding):
    text = "".join(line + end for line, end in zip(lines, ends, strict=False))
    if lines and not ended:
        text = text[: -len(ends[len(lines) - 1])]
    files = sent(a_txt=text)
    first = data.draw(st.integers(1, len(lines) + 1))
    last = data.draw(st.integers(first - 1, len(lines)))
    count = len(text.splitlines()) and len(lines)
    new = data.draw(st.sampled_from(["", "n\n", "ü\n𝒳\n", "n"]))
    result = apply([Replace("a.txt", Lines(first, min(last, count)), new)], files)
    if not isinstance(result, Applied):
        return
    change = result.changes[0]
    edits = text_edits(change, encoding)
    steps = [
        Change(
            edit.new_text,
            (edit.range.start.line, edit.range.start.character),
            (edit.range.end.line, edit.range.end.character),
        )
        for edit in reversed(edits)
    ]
    after = changed(opened("file:///a.txt", None, 1, text), steps, 2, encoding).text
    assert after == change.after


def test_an_empty_line_that_comes_to_be_the_last_is_gone():
    change = changes_of([Replace("a.txt", Lines(3, 3), "")], sent(a_txt="a\n\nb"))[0]
    assert change.after == "a\n"
    assert [edit.range.start.line for edit in text_edits(change, "utf-16")] == [1]


def test_only_lines_that_differ_are_touched():
    text = "".join(f"{number}\n" for number in range(100))
    change = changes_of(
        [Replace("a.txt", Lines(10, 20), "9\n10\n11\nx\n13\n14\n15\n16\n17\n18\n19\n")], sent(a_txt=text)
    )[0]
    assert [
        (edit.range.start.line, edit.range.end.line, edit.new_text) for edit in text_edits(change, "utf-16")
    ] == [(12, 13, "x\n")]


# ---------------------------------------------------------------- documents that moved on


def test_one_stale_document_changes_nothing_anywhere():
    changes = changes_of([X, Replace("b.py", Lines(1, 1), "z = 2\n"), Create("d.py", "w = 1\n")], FILES)
    fresh = {
        "a.py": SourceFile("a.py", "import os\n\nx = 1\ny = 1\n", version=4),
        "b.py": SourceFile("b.py", "z = 7\n", version=9),
    }
    with pytest.raises(Stale, match=r"^b\.py was changed around line 1"):
        all_rebased(changes, fresh.get)
    fresh["b.py"] = FILES["b.py"]
    moved = all_rebased(changes, fresh.get)
    assert [change.after for change in moved] == ["import os\n\nx = 2\ny = 1\n", "z = 2\n", "w = 1\n"]
    assert [change.before.version for change in moved if change.before] == [4, 3]


@pytest.mark.parametrize(
    ("block", "now", "reason"),
    [
        (Create("d.py", ""), {**FILES, "d.py": SourceFile("d.py", "")}, "d.py was created meanwhile"),
        (Rename("a.py", "d.py"), {**FILES, "d.py": SourceFile("d.py", "")}, "d.py was created meanwhile"),
        (X, {}, "a.py is gone"),
        (Delete("a.py"), {"a.py": SourceFile("a.py", "x = 2\n")}, "changed since it was to be deleted"),
    ],
)
def test_files_that_came_and_went_meanwhile(block, now, reason):
    with pytest.raises(Stale, match=reason):
        all_rebased(changes_of([block], FILES), now.get)


# ---------------------------------------------------------------- what came of it

MEANT = [X, Delete("b.py"), Create("d.py", "w = 1\n")]
BEFORE = {"a.py": "x = 1\ny = 1\n", "b.py": "z = 1\n"}
AFTER = {"a.py": "x = 2\ny = 1\n", "d.py": "w = 1\n"}
CAME = {
    "all": (AFTER, "applied", ""),
    "all, with the editor's line ends": (
        {path: text.replace("\n", "\r\n") for path, text in AFTER.items()},
        "applied",
        "",
    ),
    "nothing": (BEFORE, "declined", "the edit was declined: nothing was changed"),
    "some files": (
        {**BEFORE, "a.py": AFTER["a.py"]},
        "partly",
        "applied in part: b.py not changed, d.py not changed",
    ),
    "something else": ({**AFTER, "a.py": "x = 2\n"}, "partly", "applied in part: a.py not as it was meant"),
}


@pytest.mark.parametrize(("now", "state", "told"), CAME.values(), ids=CAME.keys())
def test_what_came_of_an_edit_is_told(now, state, told):
    found = compared(changes_of(MEANT, FILES), now.get)
    assert (found.state, found.told) == (state, told)


def test_a_rename_is_there_when_the_old_path_is_gone():
    changes = changes_of([Rename("b.py", "c.py")], FILES)
    assert compared(changes, {"c.py": "z = 1\n"}.get).state == "applied"
    assert compared(changes, {"b.py": "z = 1\n"}.get).state == "declined"
    assert compared(changes, {"b.py": "z = 1\n", "c.py": "z = 1\n"}.get).state == "partly"
