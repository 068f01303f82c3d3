"""The base of a prompt: which files, in which order, how far it is true, and what follows it."""

from __future__ import annotations

import asyncio
import random
from functools import cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_service import client, isolate, repository, stop_service, until_symbol, write
from memory_view import MemoryView
from test_tokens import small_tokenizer

from indexer.history.branch import Branch
from indexer.history.commits import Commit
from indexer.history.edits import Place
from indexer.history.history import History
from indexer.history.past import Past
from indexer.messages import BaseRequest, Pack, PackRequest, TokenizerRef
from indexer.packing.base import LARGEST_SHARE, NO_BASE, Base, make_base, tokens_of
from indexer.packing.base_shelf import KEPT_BASES, BaseKey, BaseShelf, in_hand, repack_is_due
from indexer.packing.census import take_census
from indexer.packing.pack import pack
from indexer.packing.pack_memory import PackMemory
from indexer.packing.token_lines import token_lines
from indexer.packing.tokens import EstimatedTokens, tokenizer_for
from indexer.parsing.lines import segment_text, split_lines

ESTIMATE = TokenizerRef()


def module(name: str, uses: str = "", lines: int = 8) -> str:
    body = "".join(f"    step_{number} = {number}\n" for number in range(lines))
    used = f"    {uses}()\n" if uses else ""
    imported = f"from app.{uses} import {uses}\n\n\n" if uses else ""
    return f"{imported}def {name}():\n{body}{used}    return None\n"


FILES = {
    "app/core.py": module("core"),
    "app/often.py": module("often", "core"),
    "app/rare.py": module("rare", "core"),
    "app/large.py": module("large", "core", lines=40),
    "app/never.py": module("never", "rare"),
}


class Source:
    """Sizes and ids of a view's texts, as the store would have them of those that it has counted."""

    def __init__(self, view: MemoryView, counted: bool = True) -> None:
        self.view = view
        self.asked: list[str] = []
        self._counted = counted

    def names_used(self):
        return {path: self.view.sites_of(path) for path in self.view.files()}

    def size(self, path: str) -> int:
        return len(self.view.text(path) or "")

    def counted(self, paths):
        self.asked.extend(paths)
        if not self._counted:
            return {}
        texts = {path: split_lines(self.view.text(path) or "") for path in paths}
        return {
            path: token_lines(lines, lambda all_: [ids(text) for text in all_])
            for path, lines in texts.items()
        }


class Words(EstimatedTokens):
    """Gives each word an id, and never joins what stands in two lines."""

    has_ids = True

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.encoded.append(text)
        return ids(text)

    def count(self, text: str) -> int:
        return len(ids(text))


@cache
def _id(word: str) -> int:
    return sum(word.encode()) + 1000 * len(word)


def ids(text: str) -> list[int]:
    return [_id(word) for line in text.splitlines() for word in (*line.split(), "\n")]


def history(edits: str = "", changed: str = "", edited: str = "", viewed: str = "") -> History:
    """`edits`: one word a commit, the last commit first."""
    past = Past([Commit(1_000_000_000 - 86_400 * day, (path,)) for day, path in enumerate(edits.split())])
    written = {path: float(order) for order, path in enumerate(changed.split())}
    return History(
        past,
        Branch("abc", frozenset(written), written),
        tuple(Place(path, 0, 1, 1e9 - order) for order, path in enumerate(edited.split())),
        tuple(Place(path, 0, 1, 1e9) for path in viewed.split()),
    )


def view_of(files=FILES, unsaved=None, **past: str) -> MemoryView:
    view = MemoryView(dict(files), unsaved)
    view.history = history(**past)
    return view


def base_of(
    view: MemoryView, budget: int = 10_000, left_out=frozenset(), source=None, memo=None, before=NO_BASE
) -> Base:
    return make_base(
        view,
        take_census(view, Source(view).names_used()),
        Words(),
        source or Source(view),
        BaseKey(ESTIMATE, budget, 1),
        left_out=left_out,
        memo={} if memo is None else memo,
        before=before,
    )


def paths(of: Base | Pack) -> list[str]:
    return [segment.path for segment in of.segments]


# ---------------------------------------------------------------- what it holds


def test_what_changes_least_for_its_size_stands_first():
    """Smith's rule: the large file that nobody edits first, the small one that is always edited last."""
    view = view_of(edits="app/often.py app/often.py app/often.py app/rare.py")
    base = base_of(view)
    assert paths(base)[0] == "app/large.py" and paths(base)[-1] == "app/often.py"
    assert paths(base).index("app/core.py") < paths(base).index("app/rare.py")
    weights = [view.history.rate(one.path) / one.tokens for one in base.segments]
    assert weights == sorted(weights)


@given(st.permutations(sorted(FILES)), st.lists(st.sampled_from(sorted(FILES)), max_size=8))
@settings(max_examples=20, deadline=None)
def test_equal_inputs_give_equal_bases(order, edits):
    """Whatever the order in which files are told, and whatever was looked at before."""
    first = base_of(view_of(edits=" ".join(edits)), budget=120)
    view = view_of({path: FILES[path] for path in order}, edits=" ".join(edits))
    memo = {}
    base_of(view, left_out={"app/core.py"}, budget=120, memo=memo)
    again = base_of(view, budget=120, memo=memo)
    assert again == first and again.id == first.id


def test_the_order_costs_fewer_tokens_than_any_other_that_was_tried():
    """Against the expected tokens that are read again when files change at their rates."""
    view = view_of(edits="app/often.py app/never.py app/often.py app/core.py app/large.py")
    base = base_of(view)

    def cost(order):
        rates = [view.history.rate(one.path) for one in order]
        behind = [sum(one.tokens for one in order[number:]) for number in range(len(order))]
        return sum(rate * tokens for rate, tokens in zip(rates, behind, strict=True))

    ours = cost(base.segments)
    for seed in range(50):
        other = list(base.segments)
        random.Random(seed).shuffle(other)
        assert cost(other) >= ours - 1e-9


def test_one_that_is_made_anew_begins_as_the_last_one_did():
    """However rates have moved since: before the first cut nothing is read again, what follows is by Smith's rule."""
    before = base_of(view_of(edits="app/often.py app/rare.py"))
    cut = paths(before)[2]
    moved = view_of(edits=" ".join([paths(before)[0]] * 9), edited=cut)
    again = base_of(moved, left_out={cut}, before=before)
    assert again.segments[:2] == before.segments[:2]
    assert set(paths(again)) == set(paths(before)) - {cut}
    weights = [moved.history.rate(one.path) / one.tokens for one in again.segments[2:]]
    assert weights == sorted(weights)
    assert base_of(moved, left_out={paths(before)[0]}, before=before).segments != before.segments


def test_what_others_refer_to_comes_before_what_nobody_does():
    many = {f"app/m{number}.py": module(f"m{number}", "core") for number in range(60)} | FILES
    chosen = paths(base_of(view_of(many), budget=LARGEST_SHARE * 50))
    assert {"app/core.py", "app/rare.py"} <= set(chosen) and len(set(chosen)) < len(many) // 2


@pytest.mark.parametrize("budget", [1, 40, 100, 200, 400, 10_000])
@pytest.mark.parametrize("counted", [True, False])
def test_never_past_its_budget(budget, counted):
    view = view_of()
    base = base_of(view, budget, source=Source(view, counted))
    assert base.tokens == tokens_of(base.segments) <= budget
    for one in base.segments:
        lines = split_lines(FILES[one.path])
        assert one.text == segment_text(lines, one.start_line, one.end_line) and one.ids == ids(one.text)
        assert one.tokens == len(ids(one.path + "\n")) + 1 + len(one.ids)
        assert one.layer == "base" and one.reason
    assert len({(one.path, one.start_line) for one in base.segments}) == len(base.segments)


def test_a_large_file_is_shown_by_its_signatures():
    big = "".join(f"def f{number}():\n    x = 1\n    y = 2\n    return x + y\n\n\n" for number in range(30))
    view = view_of({"big.py": big, **FILES})
    base = base_of(view, budget=LARGEST_SHARE * 300)
    shown = [one for one in base.segments if one.path == "big.py"]
    assert len(shown) == 30 and all(one.text.startswith("def f") and "x + y" not in one.text for one in shown)
    assert all("signatures" in one.reason for one in shown)


def test_copies_and_what_is_no_source_text_are_left_out():
    view = view_of({**FILES, "app/other.py": FILES["app/core.py"], "data.bin": "x y z\n" * 50})
    assert set(paths(base_of(view))) == set(FILES)


def test_counted_files_are_not_encoded_again():
    view, words = view_of(), Words()
    make_base(
        view,
        take_census(view, Source(view).names_used()),
        words,
        Source(view),
        BaseKey(ESTIMATE, 9_999, 1),
        left_out=(),
        memo={},
    )
    assert words.encoded == []


def test_only_what_has_changed_is_read_again():
    view, memo = view_of(), {}
    base_of(view, memo=memo)
    changed = view_of({**FILES, "app/rare.py": module("rare", "core", lines=9)})
    source = Source(changed)
    again = base_of(changed, memo=memo, source=source)
    assert source.asked == ["app/rare.py"] and "app/rare.py" in paths(again)
    assert again == base_of(changed)


# ---------------------------------------------------------------- how far it is true


@pytest.mark.parametrize(
    ("own", "unsaved", "saved", "cut_at"),
    [
        ("other.py", {}, {}, None),
        ("app/rare.py", {}, {}, "app/rare.py"),
        ("other.py", {"app/rare.py": "x = 1\n"}, {}, "app/rare.py"),
        ("other.py", {}, {"app/rare.py": "x = 1\n"}, "app/rare.py"),
        ("app/often.py", {}, {"app/rare.py": "x = 1\n"}, "app/rare.py"),
    ],
)
def test_it_is_true_up_to_the_first_change(own, unsaved, saved, cut_at):
    edits = "app/often.py app/often.py app/rare.py"
    base = base_of(view_of(edits=edits))
    now = view_of({**FILES, **saved}, unsaved, edits=edits)
    usable = base.usable(now, (own,))
    assert usable == (len(base.segments) if cut_at is None else paths(base).index(cut_at))
    assert base.usable(now, (own,), 0) == 0
    assert base.usable(now, (own,), base.segments[0].tokens) == min(1, usable)


def test_a_file_that_is_gone_cuts_it():
    base = base_of(view_of())
    rest = {path: text for path, text in FILES.items() if path != "app/large.py"}
    assert base.usable(view_of(rest), ()) == paths(base).index("app/large.py")


@pytest.mark.parametrize(
    ("usable", "overlay", "idle", "due"),
    [(5, 0, True, False), (4, 0, True, True), (4, 0, False, False), (4, 600, False, True), (5, 600, False, False)],
)  # fmt: skip
def test_when_it_is_made_anew(usable, overlay, idle, due):
    base = base_of(view_of())
    assert len(base.segments) == 5
    assert repack_is_due(base, usable, overlay, 1000, idle=idle) == due


def test_the_shelf_makes_one_base_and_keeps_those_in_use():
    shelf, key = BaseShelf(), BaseKey(ESTIMATE, 10_000, 1)
    view = view_of()
    first = shelf.make(key, view, Words(), Source(view))
    assert shelf.make(key, view, Words(), Source(view)) is first is shelf.find(key)
    busy = view_of(changed="app/rare.py", viewed="app/often.py")
    assert in_hand(busy) == {"app/rare.py", "app/often.py"}
    second = shelf.make(key, busy, Words(), Source(busy), again=True)
    assert set(paths(second)) == FILES.keys() - in_hand(busy)
    assert shelf.find(key) is second and shelf.find(key, first.id) is first
    for number in range(KEPT_BASES):
        other = view_of({f"m{number}.py": module(f"m{number}")})
        shelf.make(BaseKey(ESTIMATE, 500 + number, 1), other, Words(), Source(other))
    assert shelf.find(key, first.id) in (None, second)


def test_of_a_base_that_is_known_only_what_is_new_is_told():
    before, after = base_of(view_of()), base_of(view_of({**FILES, "app/rare.py": module("rare", lines=3)}))
    fresh, places = after.beside(before)
    assert [one.path for one in fresh] == ["app/rare.py"] and places.count(-1) == 1
    told = iter(fresh)
    assert [before.segments[at] if at >= 0 else next(told) for at in places] == list(after.segments)
    assert after.beside(after) == ([], list(range(len(after.segments))))


class OtherWords(Words):
    """Of another model: no id is the same."""

    def encode(self, text: str) -> list[int]:
        return [-each for each in super().encode(text)]


OTHER_MODEL = TokenizerRef("/models/other.json")


@pytest.mark.parametrize(
    ("other", "words", "alike"),
    [
        (BaseKey(OTHER_MODEL, 10_000, 1), OtherWords, False),
        (BaseKey(TokenizerRef(None, 2.5), 10_000, 1), Words, False),
        (BaseKey(ESTIMATE, 10_000, 3), Words, False),
        (BaseKey(ESTIMATE, 20_000, 1), Words, True),
    ],
)
def test_of_another_tokenizer_no_base_and_no_segment_is_taken(other, words, alike):
    shelf, key, view = BaseShelf(), BaseKey(ESTIMATE, 10_000, 1), view_of()
    first = shelf.make(key, view, Words(), Source(view, counted=False))
    second = shelf.make(other, view, words(), Source(view, counted=False))
    assert second.id != first.id and paths(second) == paths(first)
    assert all((one.ids[0] < 0) == (words is OtherWords) for one in second.segments)
    for mine, found, theirs in ((key, first, second), (other, second, first)):
        assert shelf.find(mine, found.id) is found
        assert shelf.find(mine, theirs.id) is (theirs if alike else found)
        assert shelf.by_id(mine, theirs.id) is (theirs if alike else None)
    fresh, _ = second.beside(first)
    assert fresh == ([] if alike else list(second.segments))


def test_of_an_index_that_is_being_built_there_is_none_yet():
    shelf, view = BaseShelf(), MemoryView(dict(FILES), ready=False)
    assert shelf.make(BaseKey(ESTIMATE, 10_000, 1), view, Words(), Source(view)) is NO_BASE
    view.ready = True
    assert shelf.make(BaseKey(ESTIMATE, 10_000, 1), view, Words(), Source(view)).segments


# ---------------------------------------------------------------- what follows it


def packed(
    view: MemoryView, base: Base, text: str, path: str = "app/main.py", memory=None, budget=400
) -> Pack:
    request = PackRequest(f"/project/{path}", text, text.count("\n"), 0, budget, ESTIMATE, base_budget=10_000)
    return asyncio.run(pack(request, view, path, Words(), memory, base))


USES_CORE = "from app.core import core\n\n\ndef main():\n    core()\n"


def test_what_the_base_shows_is_not_shown_again():
    view = view_of()
    base = base_of(view)
    without = packed(view, NO_BASE, USES_CORE)
    assert "app/core.py" in paths(without) and without.base == ""
    made = packed(view, base, USES_CORE)
    assert made.base == base.id and made.base_segments == len(base.segments)
    assert not set(paths(made)) & set(FILES)


def test_what_is_cut_off_the_base_is_retrieved_again():
    base = base_of(view_of())
    first = paths(base)[0]
    assert first == "app/large.py" and "app/core.py" in paths(base)
    made = packed(view_of(unsaved={first: "x = 1\n"}, changed=first), base, USES_CORE)
    assert made.base_segments == 0 and "app/core.py" in paths(made)


def test_changed_files_follow_in_the_order_of_their_change():
    changed = "app/rare.py app/often.py"
    view = view_of(unsaved={"app/often.py": "x = 1\n"}, changed=changed)
    base = base_of(view, left_out={*changed.split()})
    made = packed(view, base, USES_CORE)
    overlay = [one for one in made.segments if one.layer == "overlay"]
    assert [one.path for one in overlay] == changed.split() and made.segments[:2] == overlay
    assert overlay[1].text == "x = 1\n" and "unsaved" in overlay[1].reason
    turned = view_of(unsaved={"app/often.py": "x = 1\n"}, changed="app/often.py app/rare.py")
    assert paths(packed(turned, base, USES_CORE))[:2] == ["app/often.py", "app/rare.py"]


def test_of_a_large_changed_file_the_changed_lines_are_shown():
    lines = [f"name_{number} = {number}" for number in range(400)]
    view = view_of({**FILES, "app/long.py": "\n".join(lines) + "\n"}, changed="app/long.py")
    view.history = History(view.history.past, view.history.branch, (Place("app/long.py", 200, 201, 1e9),))
    made = packed(view, NO_BASE, USES_CORE)
    (shown,) = [one for one in made.segments if one.layer == "overlay"]
    assert shown.start_line < 200 < shown.end_line < 220 and "these lines" in shown.reason


def test_one_living_copy_whatever_is_cut():
    """No line of a file twice, none of the cursor's, none of a text that is not its own any more."""
    view = view_of(unsaved={"app/rare.py": "def rare():\n    return 5\n"}, changed="app/rare.py app/often.py")
    base = base_of(view_of())
    for own in (*FILES, "app/main.py"):
        made = packed(view, base, USES_CORE, own)
        segments = [*base.segments[: made.base_segments], *made.segments]
        seen: set[tuple[str, int]] = set()
        for one in segments:
            assert one.path != own
            living = split_lines(view.text(one.path) or "")
            assert segment_text(living, one.start_line, one.end_line) == one.text
            span = {(one.path, line) for line in range(one.start_line, one.end_line)}
            assert not span & seen
            seen |= span
        assert made.tokens <= made.budget


def test_retrieved_segments_stay_behind_the_same_part_of_the_base():
    memory, view = PackMemory(), view_of()
    base = base_of(view, left_out={"app/core.py", "app/rare.py"})
    first = packed(view, base, USES_CORE, memory=memory)
    then = packed(view, base, USES_CORE + "    from app.rare import rare\n    rare()\n", memory=memory)
    assert "app/core.py" in paths(first) and then.segments[: len(first.segments)] == first.segments
    assert packed(view, base_of(view), USES_CORE, memory=memory).segments == []


# ---------------------------------------------------------------- through the service


@pytest.fixture
async def _own_service(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


@pytest.mark.usefixtures("_own_service")
async def test_a_pack_through_the_service_begins_with_the_base(tmp_path):
    root = repository(tmp_path / "r", FILES)
    reference = TokenizerRef(str(small_tokenizer(tmp_path / "tokenizer.json", special=True)))
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        main = root / "app/main.py"
        request = PackRequest(str(main), USES_CORE, 5, 0, 600, reference, base_budget=20_000)
        made = await connected.pack(request)
        base = await connected.base(BaseRequest(str(root), reference, 20_000))
        assert set(paths(made)[: len(FILES)]) == set(FILES) and made.base == base.id
        assert made.segments[: made.base_segments] == base.segments
        assert made.tokens == sum(one.tokens for one in made.segments) <= made.budget
        limited = msgspec_replace(request, base=base.id, base_limit=base.segments[0].tokens)
        assert (await connected.pack(limited)).base_segments == 1
        unknown = msgspec_replace(limited, base="unknown")
        assert (await connected.pack(unknown)).base_segments == 0

        write(root / "app/core.py", FILES["app/core.py"] + "\n\ndef core_two():\n    return 2\n")
        await until_symbol(connected, root, "core_two")
        cut = await connected.pack(request)
        assert cut.base_segments == paths(base).index("app/core.py")
        assert "core_two" in "".join(one.text for one in cut.segments)
        again = await connected.base(BaseRequest(str(root), reference, 20_000, repack=True))
        assert "app/core.py" not in paths(again) and again.id != base.id
        assert (await connected.pack(request)).base == again.id


@pytest.mark.usefixtures("_own_service")
async def test_a_client_that_changes_its_model_is_given_the_ids_of_the_new_one(tmp_path):
    root = repository(tmp_path / "r", FILES)
    reference = TokenizerRef(str(small_tokenizer(tmp_path / "tokenizer.json", special=True)))
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        estimated = await connected.base(BaseRequest(str(root), ESTIMATE, 20_000))
        encoded = await connected.base(BaseRequest(str(root), reference, 20_000))
        assert set(paths(encoded)) == set(FILES) and encoded.id != estimated.id
        own = tokenizer_for(reference)
        assert [one.ids for one in encoded.segments] == [own.encode(one.text) for one in encoded.segments]
        assert not any(one.ids for one in estimated.segments)


@pytest.mark.usefixtures("_own_service")
async def test_what_cuts_the_base_for_long_has_it_made_anew(tmp_path):
    root = repository(tmp_path / "r", FILES)
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        request = PackRequest(str(root / "app/main.py"), USES_CORE, 5, 0, 800, ESTIMATE, base_budget=20_000)
        whole = await connected.pack(request)
        await connected.overlay(str(root / "app/large.py"), "name = 1\n" * 90)
        cut = await connected.pack(request)
        assert cut.base == whole.base and cut.base_segments < whole.base_segments
        async with asyncio.timeout(20):
            while (made := await connected.pack(request)).base == whole.base:
                await asyncio.sleep(0.02)
        assert made.base_segments == whole.base_segments - 1


@pytest.mark.usefixtures("_own_service")
async def test_while_the_index_is_built_there_is_a_pack_and_a_reason(tmp_path):
    root = repository(tmp_path / "r", {f"m{number}.py": module(f"m{number}") for number in range(300)})
    async with client() as connected:
        opening = asyncio.create_task(connected.open_root(str(root), wait=True))
        request = PackRequest(
            str(root / "main.py"), "m1()\n", 1, 0, 600, ESTIMATE, str(root), base_budget=5_000
        )
        made = await connected.pack(request)
        assert made.base_segments == 0 and any("index" in note for note in made.notes)
        await opening
        assert (await connected.pack(request)).base_segments > 0


def msgspec_replace(request: PackRequest, **changes) -> PackRequest:
    return msgspec.structs.replace(request, **changes)
