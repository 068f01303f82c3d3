"""An edit of several files that was applied and is not right: the conversations that the failure is about go on, and
the blocks of the others stay."""

from __future__ import annotations

import msgspec
import pytest
from scripted import ScriptedEndpoint
from test_edit_running import engine_of
from test_edit_steps import ANSWERS, CART, DISCOUNT, FILES, NAMED, PAGE, Script, asked_for, edited
from test_edit_steps import root as root

from engine.editing.blocks import Create, Delete, Finished, Rename, Replace, Search, write_all
from engine.endpoints.faults import EngineRequestError
from lsp.edits.helped import Noted
from lsp.edits.on_disk import OnDisk
from lsp.edits.on_disk import write_all as write_files
from lsp.edits.reading import CannotEdit
from lsp.edits.repairing import Failure, repaired
from lsp.edits.running import run
from lsp.edits.task import Diagnosed, Task

AGAIN = "answer with all blocks once more"
BETTER_CART = write_all(
    [Replace("shop/cart.py", Search("def total(items):\n"), "def total(items, discount=0):\n")]
)
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

    def __init__(self, anew: dict[str, str | Exception], answers: dict[str, str | Exception]) -> None:
        super().__init__(answers)
        self.anew = anew

    def answer(self, prompt) -> str:
        if AGAIN not in prompt.messages[-1].content:
            return super().answer(prompt)
        path = asked_for(msgspec.structs.replace(prompt, messages=prompt.messages[:-2]))
        self.asked.append(f"again {path}")
        if isinstance(self.anew[path], Exception):
            raise self.anew[path]
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


async def test_only_the_file_that_a_diagnostic_is_in_is_written_anew(root):
    path = "shop/page.py"
    again, endpoint, seen = await repair(root, OF_PAGE, {path: BETTER_PAGE})
    assert endpoint.asked == ["plan", *NAMED, f"again {path}"] and seen == [(NAMED.index(path), path)]
    (change,) = again.applied.changes
    assert change.path == path and change.before.text == (root / path).read_text()
    assert "0.5" in change.after and len(again.blocks) == 3, "what the others wrote still counts"
    before, after = endpoint.prompts[1 + NAMED.index(path)], endpoint.prompts[-1]
    assert after.messages[: len(before.messages)] == before.messages, "all of it up to the answer is cached"
    write_files(root, again.applied.changes)
    assert "0.5" in (root / path).read_text() and "discount" in (root / "shop/cart.py").read_text()


@pytest.mark.parametrize("failure", [OF_NONE, OF_TESTS])
async def test_what_a_check_finds_may_be_the_fault_of_any_file(root, failure):
    again, endpoint, seen = await repair(
        root, failure, {"shop/page.py": BETTER_PAGE, "tests/test_cart.py": BETTER_TESTS}
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


@pytest.mark.parametrize("moved, there", [("delete", None), ("rename", "shop/older.py")])
async def test_what_was_made_and_moved_stays_made_and_moved(root, moved, there):
    (root / "shop/other.py").write_bytes(b"\xef\xbb\xbfX = 1\r\n")
    (root / "shop/other.py").chmod(0o755)
    plan = f"create shop/rates.py\n{moved} shop/other.py{f' -> {there}' if there else ''}\n"
    made = write_all([Create("shop/rates.py", "RATE = 1\n")])
    answers = {"plan": plan, "shop/rates.py": made}
    better = write_all([Create("shop/rates.py", "RATE = 2\n")])
    again, endpoint, _ = await repair(
        root, OF_NONE, {"shop/rates.py": better}, answers, paths=("shop/page.py", "shop/other.py")
    )
    assert endpoint.asked[-1] == "again shop/rates.py"
    assert [(each.path, each.before.text, each.after) for each in again.applied.changes] == [
        ("shop/rates.py", "RATE = 1\n", "RATE = 2\n")
    ]
    write_files(root, again.applied.changes)
    assert not (root / "shop/other.py").exists()
    if there:
        assert (root / there).read_bytes() == b"\xef\xbb\xbfX = 1\r\n"
        assert (root / there).stat().st_mode & 0o777 == 0o755


async def test_a_renamed_file_is_repaired_under_its_new_name_with_its_mark(root):
    (root / "shop/page.py").write_bytes(b"\xef\xbb\xbf" + FILES["shop/page.py"].encode())
    moved = write_all([Rename("shop/page.py", "shop/shown.py")])
    place = OnDisk(root)
    endpoint = ScriptedEndpoint(lambda prompt: [PAGE + moved, BETTER_PAGE][len(endpoint.prompts) - 1])
    engine = engine_of(endpoint, "big-30b")
    task = Task(instruction=DISCOUNT, paths=["shop/page.py"], whole_files=True)
    first = await run(task, place, engine, None)
    write_files(root, first.applied.changes)
    of_new = Failure([Noted(Diagnosed("shop/shown.py", 5, "of a wrong type", "pyright"), "")])
    again = await repaired(first, of_new, place, engine, lambda step, event: None)
    write_files(root, again.applied.changes)
    assert not (root / "shop/page.py").exists()
    data = (root / "shop/shown.py").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"total(items, 0.5)" in data


async def test_a_repair_that_would_bring_back_what_is_gone_is_refused(root):
    answers = [write_all([Delete("shop/page.py")]), write_all([Rename("shop/page.py", "shop/shown.py")])]
    endpoint = ScriptedEndpoint(lambda prompt: answers[len(endpoint.prompts) - 1])
    engine = engine_of(endpoint, "big-30b")
    first = await run(
        Task(instruction=DISCOUNT, paths=["shop/page.py"], whole_files=True), OnDisk(root), engine, None
    )
    write_files(root, first.applied.changes)
    with pytest.raises(CannotEdit, match="take the edit back"):
        await repaired(first, OF_NONE, OnDisk(root), engine, lambda step, event: None)


async def test_a_part_stays_a_part(root):
    again, _, _ = await repair(
        root,
        OF_NONE,
        {"shop/cart.py": CART, "shop/page.py": BETTER_PAGE},
        {"tests/test_cart.py": "I cannot."},
    )
    assert again.missing and again.missing[0].startswith("tests/test_cart.py: ") and len(again.steps) == 3


async def test_an_engine_that_fails_on_the_way_leaves_what_was_written_before(root):
    gone = EngineRequestError("unreachable", "it is gone")
    again, endpoint, _ = await repair(root, OF_NONE, {"shop/cart.py": BETTER_CART, "shop/page.py": gone})
    assert endpoint.asked[-1] == "again shop/page.py", "it is asked for nothing more"
    assert [each.path for each in again.applied.changes] == ["shop/cart.py"]
    assert "not repaired: it is gone" in again.notes
