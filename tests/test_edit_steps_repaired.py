"""An edit of several files that was applied and is not right: the conversations that the failure is about go on, and
the blocks of the others stay."""

from __future__ import annotations

import msgspec
import pytest
from test_edit_running import engine_of
from test_edit_steps import ANSWERS, NAMED, Script, asked_for, edited
from test_edit_steps import root as root

from engine.editing.blocks import Create, Delete, Finished, Replace, Search, write_all
from lsp.edits.helped import Noted
from lsp.edits.on_disk import OnDisk
from lsp.edits.on_disk import write_all as write_files
from lsp.edits.reading import CannotEdit
from lsp.edits.repairing import Failure, repaired
from lsp.edits.task import Diagnosed

AGAIN = "answer with all blocks once more"
BETTER_PAGE = write_all(
    [Replace("shop/page.py", Search("    print(total(items))\n"), "    print(total(items, 0.5))\n")]
)
BETTER_TESTS = write_all(
    [
        Replace(
            "tests/test_cart.py", Search("    assert total([1]) == 1\n"), "    assert total([1], 0.5) == 1\n"
        )
    ]
)
OF_PAGE = Failure([Noted(Diagnosed("shop/page.py", 5, "of a wrong type", "pyright"), "")])
OF_TESTS = Failure((), "pytest: exit status 1", "FAILED tests/test_cart.py::test_total - assert 0 == 1")
OF_NONE = Failure((), "make: exit status 2", "it does not work")


class Twice(Script):
    """Answers with `anew` where it is told what failed, in the conversation of that file."""

    def __init__(self, anew: dict[str, str], answers: dict[str, str | Exception]) -> None:
        super().__init__(answers)
        self.anew = anew

    def answer(self, prompt) -> str:
        if AGAIN not in prompt.messages[-1].content:
            return super().answer(prompt)
        path = asked_for(msgspec.structs.replace(prompt, messages=prompt.messages[:-2]))
        self.asked.append(f"again {path}")
        return self.anew[path]


async def repair(root, failure, anew, answers=None, **changes):
    """What comes of the repair of an edit that is on disk, the model, and what was told of its blocks."""
    endpoint = Twice({path: ANSWERS[path] for path in NAMED} | anew, answers or {})
    first, _ = await edited(root, endpoint, **changes)
    write_files(root, first.applied.changes)
    seen: list[tuple[int, str]] = []

    def on_event(step, event):
        if isinstance(event, Finished):
            seen.append((step, event.block.path))

    again = await repaired(first, failure, OnDisk(root), engine_of(endpoint, "big-30b"), on_event)
    return again, endpoint, seen


@pytest.mark.parametrize(
    "failure, path, better",
    [(OF_PAGE, "shop/page.py", BETTER_PAGE), (OF_TESTS, "tests/test_cart.py", BETTER_TESTS)],
)
async def test_only_the_file_that_a_failure_names_is_written_anew(root, failure, path, better):
    again, endpoint, seen = await repair(root, failure, {path: better})
    assert endpoint.asked == ["plan", *NAMED, f"again {path}"] and seen == [(NAMED.index(path), path)]
    (change,) = again.applied.changes
    assert change.path == path and change.before.text == (root / path).read_text()
    assert "0.5" in change.after and len(again.blocks) == 3, "what the others wrote still counts"
    before, after = endpoint.prompts[1 + NAMED.index(path)], endpoint.prompts[-1]
    assert after.messages[: len(before.messages)] == before.messages, "all of it up to the answer is cached"
    write_files(root, again.applied.changes)
    assert "0.5" in (root / path).read_text() and "discount" in (root / "shop/cart.py").read_text()


async def test_a_failure_that_names_no_file_may_be_of_any(root):
    again, endpoint, seen = await repair(
        root, OF_NONE, {"shop/page.py": BETTER_PAGE, "tests/test_cart.py": BETTER_TESTS}
    )
    assert endpoint.asked[-3:] == [f"again {path}" for path in NAMED]
    assert seen == list(enumerate(NAMED)), "each block with its line of the plan"
    assert [each.path for each in again.applied.changes] == ["shop/page.py", "tests/test_cart.py"]
    assert again.figures.turns == 3 and again.figures.model


async def test_one_answer_that_cannot_be_used_leaves_its_own_blocks_and_says_so(root):
    again, _, _ = await repair(root, OF_NONE, {"shop/cart.py": "I cannot.", "shop/page.py": BETTER_PAGE})
    assert [each.path for each in again.applied.changes] == ["shop/page.py"]
    assert [each for each in again.notes if each.startswith("not repaired: ")]


async def test_no_answer_that_can_be_used(root):
    nothing = dict.fromkeys(NAMED, "I cannot.")
    again, _, _ = await repair(root, OF_NONE, nothing)
    assert again.applied is None and len(again.refusals) == 3


async def test_the_same_once_more(root):
    with pytest.raises(CannotEdit, match="the same once more"):
        await repair(root, OF_PAGE, {})


async def test_what_was_made_and_deleted_stays_made_and_deleted(root):
    plan = "create shop/rates.py\nchange shop/page.py\ndelete shop/other.py\n"
    made = write_all([Create("shop/rates.py", "RATE = 1\n")])
    answers = {"plan": plan, "shop/rates.py": made}
    named = ("shop/page.py", "shop/other.py")
    better = write_all([Create("shop/rates.py", "RATE = 2\n")])
    other = Failure((), "pytest: exit status 1", "shop/rates.py:1: wrong rate")
    again, endpoint, _ = await repair(root, other, {"shop/rates.py": better}, answers, paths=named)
    assert endpoint.asked[-1] == "again shop/rates.py"
    assert [(each.path, each.before.text, each.after) for each in again.applied.changes] == [
        ("shop/rates.py", "RATE = 1\n", "RATE = 2\n")
    ]
    assert Delete("shop/other.py") in again.blocks and not (root / "shop/other.py").exists()
