"""A plan carried out: one file after the other, one set of changes of them all; what becomes of it where a file
fails.

The index is a real one where who refers to whom matters; what the model writes is scripted."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from index_service import client, isolate, stop_service
from scripted import ScriptedEndpoint
from test_edit_running import engine_of

from engine.editing.blocks import Create, Replace, Search, write_all
from engine.editing.plan import Planned
from engine.endpoints.faults import EngineRequestError
from lsp.edits.candidates import candidates
from lsp.edits.on_disk import OnDisk
from lsp.edits.reading import CannotEdit
from lsp.edits.spanning import DECLINED, spanning, spread
from lsp.edits.step import Step, Unwatched
from lsp.edits.task import Task

FILES = {
    "shop/__init__.py": "from shop.cart import total\n",
    "shop/cart.py": "def total(items):\n    return sum(items)\n\n\ndef clear(items):\n    items.clear()\n",
    "shop/page.py": "from shop.cart import total\n\n\ndef show(items):\n    print(total(items))\n",
    "tests/test_cart.py": "from shop import total\n\n\ndef test_total():\n    assert total([1]) == 1\n",
    "shop/other.py": "def unrelated():\n    return 2\n",
}
DISCOUNT = "Give `total` a parameter discount."
CART = write_all([Replace("shop/cart.py", Search("def total(items):\n"), "def total(items, discount):\n")])
PAGE = write_all(
    [Replace("shop/page.py", Search("    print(total(items))\n"), "    print(total(items, 0))\n")]
)
OLD_TEST, NEW_TEST = "    assert total([1]) == 1\n", "    assert total([1], 0) == 1\n"
TESTS = write_all([Replace("tests/test_cart.py", Search(OLD_TEST), NEW_TEST)])
PLAN = "change shop/cart.py: total\nchange shop/page.py: show\nchange tests/test_cart.py\n"
ANSWERS = {"plan": PLAN, "shop/cart.py": CART, "shop/page.py": PAGE, "tests/test_cart.py": TESTS}
NAMED = ("shop/cart.py", "shop/page.py", "tests/test_cart.py")


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "root"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def asked_for(prompt) -> str:
    """Of which file a prompt asks for the blocks; `plan` where it asks for that."""
    last = prompt.messages[-1].content.rpartition("Task: ")[2]
    found = re.match(r"(?:Change|Create) (\S+)", last)
    return found[1].rstrip(",") if found else "plan"


class Script(ScriptedEndpoint):
    """Answers by what is asked for; an exception is raised."""

    def __init__(self, answers: dict[str, str | Exception], **changes) -> None:
        super().__init__(lambda prompt: self.answer(prompt), **changes)
        self.answers = ANSWERS | answers
        self.asked: list[str] = []

    def answer(self, prompt) -> str:
        self.asked.append(asked_for(prompt))
        answer = self.answers[self.asked[-1]]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Seen(Unwatched):
    def __init__(self) -> None:
        self.states: list[tuple[str, ...]] = []

    def planned(self, steps: list[Step]) -> None:
        self.states.append(tuple(each.state for each in steps))


async def edited(root: Path, answers=None, *, paths=NAMED, index=None, confirm=None, watch=None, **changes):
    endpoint = answers if isinstance(answers, Script) else Script(answers or {})
    task = Task(instruction=DISCOUNT, paths=paths, whole_files=True, plan="always", **changes)
    place = OnDisk(root)
    found = await spread(task, place, index)
    engine = engine_of(endpoint, "big-30b")
    outcome = await spanning(task, found, place, engine, index, watch or Seen(), confirm=confirm)
    return outcome, endpoint


def after(outcome) -> dict[str, str | None]:
    assert outcome.applied is not None, outcome.why
    return {each.new_path: each.after for each in outcome.applied.changes}


async def test_one_file_after_the_other_and_one_set_of_changes(root):
    watch = Seen()
    outcome, endpoint = await edited(root, watch=watch)
    assert endpoint.asked == ["plan", *NAMED] and list(after(outcome)) == sorted(NAMED)
    assert after(outcome)["shop/page.py"].endswith("    print(total(items, 0))\n")
    assert not outcome.missing and outcome.figures.turns == 4
    assert watch.states[0] == ("waiting",) * 3 and watch.states[-1] == ("done",) * 3
    assert ("done", "writing", "waiting") in watch.states
    plan, cart, page, _ = (each.messages[-1].content for each in endpoint.prompts)
    assert "def clear" not in plan and "total, clear" in plan, "the plan reads names, the steps their files"
    assert "def clear" in cart and "def show" not in cart
    assert "def total(items, discount)" in page, "what was changed so far is told"


async def test_who_refers_to_what_is_meant_is_known_to_the_index(root, tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    try:
        async with client() as index:
            await index.open_root(str(root), wait=True)
            task = Task(instruction=DISCOUNT, paths=["shop/cart.py"], plan="where several", whole_files=True)
            found = await candidates(task, OnDisk(root), index)
            assert {each.file.path for each in found.files} == FILES.keys() - {"shop/other.py"}
            page = found.by_path["shop/page.py"].candidate(9, 9)
            assert (5, "    print(total(items))") in page.uses and page.symbols == ("show",)
            silent = Task(instruction="Tidy up.", paths=["shop/cart.py"], plan="where several")
            assert await spread(silent, OnDisk(root), index) is None, "an edit of one file"
            outcome, endpoint = await edited(root, paths=["shop/cart.py"], index=index)
            assert list(after(outcome)) == sorted(NAMED)
            assert "    5: print(total(items))\n" in endpoint.prompts[0].messages[-1].content
    finally:
        await stop_service()


FAILING = [
    pytest.param("I cannot.", "no block", id="prose"),
    pytest.param(PAGE[:60], "ends", id="cut off"),
    pytest.param(CART, "not among the files", id="another file"),
    pytest.param(PAGE.replace("items, 0))", "items, 0)"), "syntax error", id="does not parse"),
    pytest.param(EngineRequestError("request", "too long for it"), "too long for it", id="too long"),
]


@pytest.mark.parametrize(("answer", "why"), FAILING)
async def test_a_file_that_fails_costs_the_others_nothing_and_is_named(root, answer, why):
    outcome, endpoint = await edited(root, {"shop/page.py": answer})
    assert sorted(after(outcome)) == ["shop/cart.py", "tests/test_cart.py"]
    (missing,) = outcome.missing
    assert missing.startswith("shop/page.py: ") and why in missing
    assert endpoint.asked[-1] == "tests/test_cart.py", "the next one is asked for all the same"
    assert [each.state for each in outcome.steps] == ["done", "failed", "done"]
    assert "Changed so far: shop/page.py" not in endpoint.prompts[-1].messages[-1].content


async def test_a_file_that_stays_as_it_is_has_not_failed(root):
    same = write_all([Replace("shop/page.py", Search("def show(items):\n"), "def show(items):\n")])
    outcome, _ = await edited(root, {"shop/page.py": same})
    assert not outcome.missing and "shop/page.py" not in after(outcome)
    assert [each.state for each in outcome.steps] == ["done", "unchanged", "done"]


async def test_nothing_is_left_where_every_file_fails(root):
    outcome, _ = await edited(root, dict.fromkeys(NAMED, "No."))
    assert outcome.applied is None and outcome.why.count("no block") == 3
    assert not outcome.missing, "there is no part of it"


MOVES = "delete shop/other.py\nrename shop/cart.py -> shop/basket.py\n"


async def test_what_is_made_deleted_and_renamed(root):
    paths = (*NAMED, "shop/other.py")
    plan = f"{PLAN}create shop/rates.py\n{MOVES}"
    answers = {"plan": plan, "shop/rates.py": write_all([Create("shop/rates.py", "RATE = 0\n")])}
    outcome, endpoint = await edited(root, answers, paths=paths)
    changed = after(outcome)
    assert changed["shop/rates.py"] == "RATE = 0\n" and changed["shop/other.py"] is None
    assert changed["shop/basket.py"].startswith("def total(items, discount):\n")
    assert endpoint.asked == ["plan", *NAMED, "shop/rates.py"], "a deletion says all there is to say"


async def test_nothing_is_deleted_or_renamed_where_a_file_has_failed(root):
    paths = (*NAMED, "shop/other.py")
    outcome, _ = await edited(root, {"plan": f"{MOVES}{PLAN}", "shop/page.py": "No."}, paths=paths)
    assert sorted(after(outcome)) == ["shop/cart.py", "tests/test_cart.py"]
    assert [each.state for each in outcome.steps] == ["left out", "left out", "done", "failed", "done"]
    assert len(outcome.missing) == 3 and "may still need it" in outcome.missing[0]


ESCAPES = [
    ("create ../out.py", "out.py"),
    ("create shop/cart.py/x.py", "no folder"),
    ("rename shop/cart.py -> .git/hooks/x", "git's own"),
    ("change shop/nowhere.py", "was not among the files"),
]


@pytest.mark.parametrize(("line", "why"), ESCAPES)
async def test_what_may_not_be_planned_is_missing(root, line, why):
    outcome, endpoint = await edited(root, {"plan": f"{PLAN}{line}\n"})
    assert sorted(after(outcome)) == sorted(NAMED) and why in "; ".join(outcome.missing)
    assert endpoint.asked == ["plan", *NAMED]


async def test_an_engine_that_fails_after_the_first_file_is_left_alone(root):
    gone = EngineRequestError("unreachable", "gone")
    outcome, endpoint = await edited(root, {"shop/page.py": gone})
    assert list(after(outcome)) == ["shop/cart.py"] and endpoint.asked == ["plan", *NAMED[:2]]
    assert "not begun, since the model failed before: gone" in outcome.missing[-1]
    with pytest.raises(EngineRequestError, match="gone"):
        await edited(root, {"shop/cart.py": gone})


async def test_a_model_that_plans_nothing_is_asked_for_what_was_named(root):
    outcome, endpoint = await edited(root, {"plan": "I would change them all."})
    assert sorted(after(outcome)) == sorted(NAMED) and endpoint.asked == ["plan", *NAMED]
    assert "no plan" in " ".join(outcome.notes)
    with pytest.raises(CannotEdit, match=r"nowhere\.py is planned"):
        await edited(root, {"plan": "change nowhere.py"})


async def test_a_person_may_take_files_off_a_plan(root):
    async def first(lines):
        return lines[:1]

    async def none(lines):
        return []

    outcome, endpoint = await edited(root, confirm=first)
    assert list(after(outcome)) == ["shop/cart.py"] and endpoint.asked == ["plan", "shop/cart.py"]
    with pytest.raises(CannotEdit, match=DECLINED):
        await edited(root, confirm=none)


async def test_cancelled_in_the_second_step(root):
    endpoint = Script({})
    endpoint._delay_s = 0.005
    running = asyncio.create_task(edited(root, endpoint))
    while endpoint.asked[-1:] != ["shop/page.py"]:
        await asyncio.sleep(0.002)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert endpoint.closed_early == 1 and endpoint.asked == ["plan", *NAMED[:2]]


async def test_a_model_that_is_not_trusted_with_several_files_plans_none(root):
    task = Task(instruction=DISCOUNT, paths=NAMED, plan="always")
    found = await spread(task, OnDisk(root), None)
    endpoint = Script({})
    with pytest.raises(CannotEdit, match=r"foreword bench edit, and 0\.30 is asked for.*largeEngine"):
        await spanning(task, found, OnDisk(root), engine_of(endpoint), None, Unwatched())
    assert not endpoint.asked


async def test_files_that_are_known_to_be_all_are_not_planned_by_the_model(root):
    task = Task(instruction=DISCOUNT, paths=NAMED[1:], plan="known")
    endpoint = Script({})
    found = await spread(task, OnDisk(root), None)
    outcome = await spanning(task, found, OnDisk(root), engine_of(endpoint, "big-30b"), None, Unwatched())
    assert endpoint.asked == [*NAMED[1:]] and sorted(after(outcome)) == sorted(NAMED[1:])
    assert [each.planned for each in outcome.steps] == [Planned("change", path) for path in NAMED[1:]]
