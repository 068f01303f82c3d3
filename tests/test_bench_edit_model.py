"""The part of `foreword bench edit` in which a model takes part: what is asked, and what the figures say of answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from scripted import ScriptedEndpoint
from test_edit_running import engine_of

from benchmarks.edit.asked import Asked, NoHistory, from_repository, from_steps
from benchmarks.edit.histories import TrueEdit
from benchmarks.edit.hunks import FilePair, by_search
from benchmarks.edit.model import figures, measured
from engine.editing.blocks import Replace, Search, write_all

OLD = "def one():\n    return first\n\n\ndef two():\n    return 2\n"
NEW = OLD.replace("first", "second(1)")
PAIR = FilePair("src/shop.py", OLD, NEW)
ASKED = Asked("Use second.", (PAIR,), "python")


async def figures_of(answer: str) -> dict[str, float]:
    made, problems = await measured([ASKED], engine_of(ScriptedEndpoint(answer)), lambda text: None)
    assert problems == []
    return {each.name: each.value for each in figures(made, "a model")}


async def test_a_true_answer_has_all():
    found = await figures_of(write_all(by_search(PAIR)))
    shares = {name: value for name, value in found.items() if not name.startswith("edit_s")}
    assert shares == dict.fromkeys(
        (
            "wellformed_grammar",
            "wellformed_free",
            "syntax_clean",
            "edits_applied",
            "blocks_anchored",
            "diff_similarity",
        ),
        1.0,
    )


async def test_an_answer_to_something_else():
    other = write_all([Replace("src/shop.py", Search("    return 2\n"), "    return 3\n")])
    found = await figures_of(other)
    assert found["edits_applied"] == found["syntax_clean"] == 1 and found["diff_similarity"] == 0
    both = write_all([*by_search(PAIR), Replace("src/shop.py", Search("    return 2\n"), "    return 3\n")])
    assert (await figures_of(both))["diff_similarity"] == pytest.approx(2 / 3)


async def test_answers_that_are_none():
    found = await figures_of("I will not.")
    assert found["wellformed_grammar"] == found["wellformed_free"] == found["edits_applied"] == 0
    assert "syntax_clean" not in found, "nothing was applied that could be"
    broken = write_all([Replace("src/shop.py", Search("    return 2\n"), "    return (\n")])
    found = await figures_of(broken)
    assert found["wellformed_grammar"] == found["blocks_anchored"] == 1 and found["edits_applied"] == 0


def test_releases_have_no_messages():
    step = TrueEdit("python", "shop", (PAIR,))
    made = FilePair("new.py", None, "x = 1\n")
    asked = from_steps([step, TrueEdit("python", "shop", (made,)), step], 5)
    assert [each.pairs for each in asked] == [(PAIR,), (PAIR,)], "what is made is not asked for"
    assert asked[0].instruction == "In src/shop.py: bring in second and do without first."


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def test_commits_of_a_repository(tmp_path):
    git(tmp_path, "init", "-q")
    for text, message in ((OLD, "begin"), (NEW, "Use second\n\nIt is faster.")):
        (tmp_path / "shop.py").write_text(text)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", message)
    (asked,) = from_repository(tmp_path, 3)
    assert asked.instruction == "Use second\n\nIt is faster."
    assert asked.pairs == (FilePair("shop.py", OLD, NEW),)


def test_a_folder_without_a_history(tmp_path):
    with pytest.raises(NoHistory):
        from_repository(tmp_path, 3)
