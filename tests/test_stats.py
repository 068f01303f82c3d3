"""What happened to suggestions: followed through a document's changes, and told by clients that can."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from scripted import ScriptedEndpoint
from test_completion import CURSOR, Session

from engine.prompts import Prompt
from lsp.documents import key_of
from lsp.happened import outcomes
from lsp.happened.kept import Span, kept
from lsp.happened.outcomes import Outcomes
from lsp.happened.records import Record
from lsp.happened.store import Store
from lsp.inline import Outcome

LINE = "foo(alpha, beta)"
BLOCK = "first = one(alpha)\n    second = two(beta)\n    return first + second"
URI = "untitled:1"


class Person(Session):
    """Somebody who edits documents and is offered something now and then; time passes when it is told to."""

    def __init__(self, folder: Path, text: str) -> None:
        super().__init__(ScriptedEndpoint(lambda prompt: _written(prompt, text)))
        self.time = 1_000.0
        self.store = Store(folder / "stats.sqlite3")
        self.counted = Outcomes(
            lambda: True, lambda: self.store, clock=lambda: self.time, now=lambda: 1_790_000_000 + self.time
        )
        self.completions.outcomes = self.counted
        self._version = 0

    def type(self, marked: str, uri: str = URI) -> int:
        self._version += 1
        snapshot, offset = self.open(marked if CURSOR in marked else marked + CURSOR, uri, self._version)
        self.completions.changed(snapshot)
        return offset

    async def offered(self, marked: str, uri: str = URI) -> Outcome:
        offset = self.type(marked, uri)
        return await self.completions.answer(self.documents.get(uri), offset)

    async def ended(self) -> list[Record]:
        """All that has been written down when the server ends."""
        await self.counted.close()
        return self.read()

    def read(self) -> list[Record]:
        if not self.store.path.exists():
            return []
        with self.store._open() as open_:
            rows = open_.execute("SELECT * FROM suggestions").fetchall()
        return [Record(**dict(zip(Record.__struct_fields__, row, strict=True))) for row in rows]


def _written(prompt: Prompt, text: str) -> str:
    """What is left of the text where some of it stands already."""
    end = next((end for end in range(len(text), 0, -1) if prompt.window.endswith(text[:end])), 0)
    return text[end:] + "\n"


@pytest.fixture(autouse=True)
def nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp.requests.ahead.AFTER_S", 600.0)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path, LINE)


# ---------------------------------------------------------------- what a document tells

WAYS = [
    # what the document became after the offer at `x = ▮`, and what that means: outcome, accepted characters, kept
    pytest.param([f"x = {LINE}\n"], ("accepted", 16, 1.0), id="whole"),
    pytest.param(
        ["x = f\n", "x = fo\n", f"x = {LINE}\n"], ("accepted", 14, 1.0), id="typed along, then whole"
    ),
    pytest.param([f"x = {LINE[:end]}\n" for end in range(1, 17)], ("typed", 0, None), id="typed to its end"),
    pytest.param(["x = f\n", "x = fa\n"], ("rejected", 0, None), id="typed otherwise"),
    pytest.param(["x = 17\n", "x = 17\ny = \n"], ("rejected", 0, None), id="something else"),
    pytest.param(["x = foo(\n", "x = foo(alpha\n"], ("partly", 9, 1.0), id="word by word"),
    pytest.param(["x = foo(alpha\n", "x = foo(alpha, beta)\n"], ("accepted", 16, 1.0), id="words to the end"),
    pytest.param(
        ["x = foo()\n", "x = foo(alpha)\n"], ("partly", 9, 1.0), id="a bracket that the editor closed"
    ),
    pytest.param([f"x = {LINE}\n", "x = \n"], ("accepted", 16, 0.0), id="undone"),
    pytest.param([f"x = {LINE}\n", "\n"], ("accepted", 16, 0.0), id="deleted with its line"),
    pytest.param(
        [f"x = {LINE}\n", f"import os\n\nx = {LINE}\n"], ("accepted", 16, 1.0), id="edited far above"
    ),
    pytest.param([f"x = {LINE}\n", f"x = {LINE}\nprint(x)\n"], ("accepted", 16, 1.0), id="edited below"),
    pytest.param([f"import os\nx = {LINE}\n"], ("rejected", 0, None), id="two changes at once, unseen by us"),
    pytest.param(
        ["import os\nx = \n", f"import os\nx = {LINE}\n"], ("accepted", 16, 1.0), id="edited above first"
    ),
    pytest.param(
        ["x = \n# below\n", f"x = {LINE}\n# below\n"], ("accepted", 16, 1.0), id="edited below first"
    ),
    pytest.param(
        [f"x = {LINE}\n", "x = foo(alpha, gamma)\n"], ("accepted", 16, 11 / 16), id="an argument changed"
    ),
    pytest.param(
        [f"x = {LINE}\n", f"def f():\n    x = {LINE}\n"], ("accepted", 16, 1.0), id="moved and indented"
    ),
    pytest.param([f"x = {LINE}.real\n"], ("accepted", 16, 1.0), id="typed on within one message"),
    pytest.param(["x = g\n", "x = \n", f"x = {LINE}\n"], ("accepted", 16, 1.0), id="a slip first"),
]


@pytest.mark.parametrize(("texts", "expected"), WAYS)
async def test_what_became_of_it(
    person: Person, texts: list[str], expected: tuple[str, int, float | None]
) -> None:
    assert (await person.offered("x = ▮\n")).text == LINE
    for text in texts:
        person.type(text)
    (record,) = await person.ended()
    assert (record.outcome, record.taken_characters) == expected[:2]
    assert record.kept == (None if expected[2] is None else pytest.approx(expected[2]))
    assert (record.told, record.shown, record.characters, record.lines) == (False, None, 16, 1)
    assert (record.language, record.kind, record.engine) == ("python", "one line", True)


async def test_whoever_types_along_with_an_answer_to_each_key_sees_one_suggestion(person: Person) -> None:
    for end in (0, 1, 2, 3):
        assert (await person.offered(f"x = {LINE[:end]}▮\n")).text == LINE[end:]
    await person.offered("x = fo▮\n")
    person.type(f"x = {LINE}\n")
    (record,) = await person.ended()
    assert (record.outcome, record.characters, record.taken_characters) == ("accepted", 16, 14)


async def test_word_by_word_with_an_answer_to_each(person: Person) -> None:
    for end in (0, 4, 9, 11):
        await person.offered(f"x = {LINE[:end]}▮\n")
    await person.offered("y▮\n")
    records = await person.ended()
    assert [(each.outcome, each.taken_characters, each.kept) for each in records] == [
        ("partly", 9, 0.0),
        ("rejected", 0, None),
    ]


async def test_what_is_offered_elsewhere_is_another(person: Person) -> None:
    await person.offered("x = ▮\n")
    await person.offered("x = \ny = ▮\n")
    await person.offered("z = ▮\n", "untitled:2")
    records = await person.ended()
    assert [each.outcome for each in records] == ["rejected"] * 3


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_a_block_line_by_line(tmp_path: Path, ending: str) -> None:
    person = Person(tmp_path, "    " + BLOCK)
    lines = [each.replace("\n", ending) for each in (BLOCK.split("\n")[0], BLOCK)]
    marked = f"def f(alpha, beta):{ending}    ▮{ending}"
    assert (await person.offered(marked)).text == BLOCK.replace("\n", ending)
    person.type(marked.replace(CURSOR, lines[0]))
    person.type(marked.replace(CURSOR, lines[1]))
    changed = lines[1].replace("two(beta)", "two(beta, gamma)")
    person.type(marked.replace(CURSOR, changed))
    (record,) = await person.ended()
    assert (record.outcome, record.kind, record.lines) == ("accepted", "several lines", 3)
    assert record.taken_characters == len(BLOCK)
    assert record.kept is not None and 0.8 < record.kept < 1.0


async def test_kept_is_looked_at_after_30_s_and_written_then(person: Person) -> None:
    await person.offered("x = ▮\n")
    person.type(f"x = {LINE}\n")
    person.time += outcomes.KEPT_AFTER_S - 0.1
    await person.counted.tick()
    assert person.read() == []
    person.time += 0.1
    await person.counted.tick()
    person.type("x = \n")  # too late to count
    (record,) = await person.ended()
    assert (record.kept, record.at) == (1.0, 1_790_001_000)


async def test_what_nobody_comes_back_to_is_written_soon(person: Person) -> None:
    await person.offered("x = ▮\n")
    person.type("x = 17\n")
    await person.counted.tick()
    assert person.read() == []
    person.time += outcomes.LEFT_S
    await person.counted.tick()
    assert [each.outcome for each in person.read()] == ["rejected"]


async def test_a_closed_document_is_judged_by_what_it_was(person: Person) -> None:
    await person.offered("x = ▮\n")
    person.type(f"x = {LINE}\n")
    person.type("x = foo()\n")
    person.documents.close(URI)
    person.completions.forget(URI)
    await person.counted.tick()
    (record,) = person.read()
    assert record.outcome == "accepted" and record.kept == pytest.approx(5 / 15)
    assert person.counted._texts == {} and person.counted.describe()["followed"] == 0


async def test_latency_and_whether_the_engine_was_needed(person: Person) -> None:
    class Slow(ScriptedEndpoint):
        async def generate(self, *arguments, **named):
            person.time += 0.25
            async for chunk in super().generate(*arguments, **named):
                yield chunk

    person.link.engine = person.link.engine.__class__(Slow(LINE + "\n"), *_rest(person.link.engine))
    await person.offered("x = ▮\n")
    person.type("z\n")
    await person.offered("y = ▮\n")
    await person.offered("x = ▮\n")  # remembered
    records = await person.ended()
    assert [(each.engine, each.latency_ms) for each in records] == [(True, 250), (True, 250), (False, 0)]


def _rest(engine):
    return [getattr(engine, name) for name in engine.__struct_fields__[1:]]


async def test_an_item_of_the_list_is_none_of_ours(person: Person) -> None:
    from lsp.inline import SelectedItem

    offset = person.type("x = fo▮\n")
    outcome = await person.completions.answer(person.documents.get(URI), offset, SelectedItem(4, 6, "foo"))
    assert outcome.text == LINE
    person.type("x = foo\n")
    (record,) = await person.ended()
    assert (record.outcome, record.taken_characters, record.characters) == ("rejected", 0, 13)


async def test_a_suggestion_taken_while_it_grows(person: Person) -> None:
    person.link.engine.endpoint._delay_s = 0.005
    ids: set[str] = set()

    def growing(outcome: Outcome) -> None:
        ids.add(person.counted.current(URI))
        if outcome.text == "foo(alpha, b":
            person.type(f"x = {outcome.text}▮\n")

    offset = person.type("x = ▮\n")
    answer = await person.completions.answer(person.documents.get(URI), offset, on_growing=growing)
    assert not answer.text
    (id_,) = ids
    person.counted.accepted(id_)
    (record,) = await person.ended()
    assert (record.outcome, record.taken_characters, record.told) == ("accepted", 12, True)


# ---------------------------------------------------------------- what a client tells


async def test_acceptance_that_only_the_client_knows_of(person: Person) -> None:
    """Its formatter has had its way with it in the same change."""
    await person.offered("x = ▮\n")
    told = person.counted.current(URI)
    person.type("x = foo(\n    alpha,\n    beta,\n)\n")
    person.counted.accepted(told)
    (record,) = await person.ended()
    assert (record.outcome, record.told) == ("accepted", True)
    assert record.kept == pytest.approx(15 / 16)


@pytest.mark.parametrize(
    ("part", "text", "expected"), [("word", "x = foo\n", "partly"), ("all", f"x = {LINE}\n", "accepted")]
)
async def test_what_is_told_weighs_more(person: Person, part: str, text: str, expected: str) -> None:
    await person.offered("x = ▮\n")
    told = person.counted.current(URI)
    person.type(text)
    person.counted.accepted(told, part)  # type: ignore[arg-type]
    (record,) = await person.ended()
    assert (record.outcome, record.told) == (expected, True)
    assert record.taken_characters == len(text) - 5


async def test_what_was_typed_last_may_have_been_accepted(person: Person) -> None:
    await person.offered(f"x = {LINE[:-1]}▮\n")
    told = person.counted.current(URI)
    person.type(f"x = {LINE}\n")
    person.counted.accepted(told)
    (record,) = await person.ended()
    assert (record.outcome, record.taken_characters) == ("accepted", 1)


async def test_what_was_never_shown_was_not_rejected(person: Person) -> None:
    person.counted.tells_shown = True
    await person.offered("x = ▮\n")
    await person.offered("x = \ny = ▮\n")
    person.counted.seen(person.counted.current(URI))
    records = await person.ended()
    assert [(each.outcome, each.shown) for each in records] == [("unseen", False), ("rejected", True)]


async def test_ids_of_nobody_are_no_trouble(person: Person) -> None:
    person.counted.accepted("nobody")
    person.counted.seen("nobody")
    assert await person.ended() == []


# ---------------------------------------------------------------- bounds


async def test_nothing_is_followed_where_that_is_switched_off(tmp_path: Path) -> None:
    person = Person(tmp_path, LINE)
    person.counted._wanted = lambda: False
    outcome = await person.offered("x = ▮\n")
    assert outcome.text == LINE and person.counted.current(URI) == ""
    person.type(f"x = {LINE}\n")
    assert await person.ended() == [] and person.counted._texts == {}


async def test_followed_ones_are_bounded(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MAX_FOLLOWED", 2)
    for number in range(5):
        uri = f"untitled:{number}"
        await person.offered("x = ▮\n", uri)
        person.type(f"x = {LINE}\n", uri)
    await person.counted.tick()
    assert len(person.read()) == 3 and len(person.counted._settled) == 2
    assert set(person.counted._texts) == {key_of(f"untitled:{number}") for number in (3, 4)}


async def test_a_server_that_ends_while_it_writes_counts_once(person: Person) -> None:
    """What was handed to the disk is not handed to it again because nobody waited for it any more."""
    written, may_go_on = threading.Event(), threading.Event()
    append = person.store.append

    def slow(records: Sequence[Record], today: date) -> None:
        append(records, today)
        written.set()
        may_go_on.wait(10)

    person.store.append = slow
    await person.offered("x = ▮\n")
    person.counted.closed(URI)
    task = asyncio.create_task(person.counted.tick())
    await asyncio.to_thread(written.wait, 10)
    task.cancel()
    ending = asyncio.create_task(person.counted.close())
    await asyncio.sleep(0)
    may_go_on.set()
    await ending
    assert [each.outcome for each in person.read()] == ["rejected"]


def test_a_document_that_was_replaced_as_a_whole_is_not_compared_word_by_word() -> None:
    """Its words would be compared for minutes: lines count that are there as they were."""
    accepted = "".join(f"    if foo({at}, a.b, c[{at}]):\n        bar(a)\n" for at in range(50))
    then = "".join(f"  first({at}, b)\n" for at in range(2_000)) + accepted
    span = Span(len(then) - len(accepted), len(then))
    other = "".join(f"second({at}, 2.a).c = d\n" for at in range(5_000))
    assert kept(then, span, other) == 0.0
    half = "".join(line.strip() + "\n" for line in accepted.splitlines()[::2])
    assert 0.5 < kept(then, span, other + half + other) < 1.0
