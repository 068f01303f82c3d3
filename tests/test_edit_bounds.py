"""However many wrong anchors an answer has, looking for them ends soon."""

from __future__ import annotations

from engine.editing.blocks import Lines, Replace, Search
from lsp.edits import applying
from lsp.edits.applying import Applied, Refused, apply
from lsp.edits.files import SourceFile


def test_only_so_many_anchors_are_looked_for(monkeypatch):
    text = "".join(f"value_{at} = make({at})\n" for at in range(20))
    monkeypatch.setattr(applying, "MOST_SEARCHED_CHARS", 3 * len(text))
    wrong = [Replace("a.txt", Search(f"value_{at} = wake({at}, {at})\n"), "x\n") for at in range(6)]
    right = [Replace("a.txt", Search(f"value_{at} = make({at})\n"), "x\n") for at in range(6, 20)]
    right += [Replace("a.txt", Lines(1, 1, "value_0 = make(0)\n"), "y\n")]
    result = apply(wrong + right, {"a.txt": SourceFile("a.txt", text)})
    assert isinstance(result, Refused)
    skipped = [each.blocks for each in result.refusals if "not looked through again" in each.reason]
    assert skipped == [(3,), (4,), (5,)]
    assert isinstance(apply(right, {"a.txt": SourceFile("a.txt", text)}), Applied)
