"""Packing: what the model reads before it writes, why, in which order, and never more than the budget."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_view import MemoryView

from indexer.messages import Pack, PackRequest, Segment, TokenizerRef
from indexer.packing.evidence import Candidate, Evidence
from indexer.packing.pack import LEAST_BUDGET, pack
from indexer.packing.pack_memory import PackMemory
from indexer.packing.probes import probed
from indexer.packing.selection import SINGLE_LINES_UP_TO, Choice
from indexer.packing.texts import Texts
from indexer.packing.tokens import EstimatedTokens, ModelTokens, TokenizerError, tokenizer_for

ESTIMATE = TokenizerRef()

SHOP = {
    "shop/__init__.py": "from .config import Config as Config\nfrom .money import *\n",
    "shop/config.py": (
        "class Config:\n"
        '    """Where the shop keeps things."""\n\n'
        "    currency: str = 'EUR'\n\n"
        "    def __init__(self, path: str) -> None:\n        self.path = path\n\n"
        "    def reload(self) -> None:\n        self.currency = open(self.path).read()\n"
    ),
    "shop/money.py": "def rounded(amount):\n    return round(amount, 2)\n\n\n"
    "def taxed(amount):\n    return amount * 1.2\n",
    "shop/orders/__init__.py": "",
    "shop/orders/order.py": "class Order:\n    def total(self):\n        return 1\n",
    "shop/stock.py": "LIMIT = 10\n\n\ndef stock_of(name):\n    return LIMIT\n",
    "docs/notes.py": "def unrelated():\n    return 'nothing'\n",
}


def cut(marked: str) -> tuple[str, int, int]:
    """Text, line and character of the `▮` in it."""
    before, after = marked.split("▮")
    return before + after, before.count("\n"), len(before.rpartition("\n")[2])


def packed(
    marked: str,
    *,
    path: str = "shop/main.py",
    files: dict[str, str] | None = None,
    unsaved: dict[str, str] | None = None,
    budget: int = 4000,
    memory: PackMemory | None = None,
    view: MemoryView | None = None,
    tokenizer: TokenizerRef = ESTIMATE,
    unhurried: bool = False,
) -> Pack:
    text, line, character = cut(marked)
    view = view or MemoryView(files if files is not None else SHOP, unsaved)
    request = PackRequest(f"/project/{path}", text, line, character, budget, tokenizer, unhurried=unhurried)
    made = asyncio.run(pack(request, view, path, tokenizer_for(tokenizer), memory))
    check(made, view, path, request)
    return made


def check(made: Pack, view: MemoryView, path: str, request: PackRequest) -> None:
    """What every pack holds to."""
    tokenizer = tokenizer_for(request.tokenizer)
    assert made.tokens == sum(segment.tokens for segment in made.segments) <= made.budget == request.budget
    taken: set[tuple[str, int]] = set()
    before = ""
    for segment in made.segments:
        assert segment.path != path, "never the cursor's own file"
        living = (view.text(segment.path) or "").split("\n")
        lines = segment.text.split("\n")
        assert lines.pop() == "" and lines[0].strip() and lines[-1].strip()
        assert [line.removesuffix("\r") for line in living[segment.start_line : segment.end_line]] == lines
        span = {(segment.path, line) for line in range(segment.start_line, segment.end_line)}
        assert not span & taken, "no line twice"
        taken |= span
        header = tokenizer.count(segment.path + "\n") + 1 if segment.path != before else 0
        assert segment.tokens == header + tokenizer.count(segment.text), "a path is named, and paid for, once"
        before = segment.path
        assert segment.ids == tokenizer.encode(segment.text)
        assert segment.layer == ("overlay" if view.is_overlay(segment.path) else "retrieved")
        assert segment.reason
    assert made.segments or made.notes, "nothing is absent without a reason"


def reason_of(made: Pack, path: str, text: str) -> str:
    found = [one.reason for one in made.segments if one.path == path and text in one.text]
    assert found, f"{text!r} of {path} is not among {[(one.path, one.text) for one in made.segments]}"
    return found[0]


WANTED = [
    pytest.param(
        "from shop.orders import order\n\n\ndef start():\n    one = order.Order()\n    ▮",
        ("shop/orders/order.py", "def total", "`one` is of `Order`"),
        id="a member of what was made above",
    ),
    pytest.param(
        "from shop.config import Config\n\n\nclass Own(Config):\n    def go(self):\n        ▮",
        ("shop/config.py", "def reload", "`self` is of `Own`, a kind of `Config`"),
        id="a member of a base",
    ),
    pytest.param(
        "from shop import config\n\n\nclass Own:\n    def __init__(self, given: config.Config):\n"
        "        self.given = given\n\n    def go(self):\n        print(self.given)\n        self.▮\n",
        ("shop/config.py", "def reload", "`self.given` is of `Config`"),
        id="a member of an attribute, in broken code",
    ),
    pytest.param(
        "from shop.config import Config\n\ndef start():\n    config = Config(▮",
        ("shop/config.py", "class Config", "imported: `Config` from shop/config.py"),
        id="imported and used here",
    ),
    pytest.param(
        "from shop.config import Config as C\n\ndef start():\n    config = C(▮",
        ("shop/config.py", "class Config", "imported: `Config` as `C` from shop/config.py"),
        id="imported under another name",
    ),
    pytest.param(
        "from .config import Config\n\ndef start():\n    ▮",
        ("shop/config.py", "class Config", "not used yet"),
        id="imported a moment ago",
    ),
    pytest.param(
        "from .money import (\n    rounded,\n    taxed,\n)\n\ndef start():\n    taxed(1)\n    ▮",
        ("shop/money.py", "def rounded", "imported: `rounded` from shop/money.py, not used yet"),
        id="imported over several lines",
    ),
    pytest.param(
        "from shop import Config\n\nConfig(▮",
        ("shop/config.py", "class Config", "imported: `Config` from shop/config.py"),
        id="through a re-export",
    ),
    pytest.param(
        "from shop import taxed\n\ntaxed(▮",
        ("shop/money.py", "def taxed", "imported: `taxed` from shop/money.py"),
        id="through a star re-export",
    ),
    pytest.param(
        "from shop import stock\n\nstock.stock_of(▮",
        ("shop/stock.py", "def stock_of", "imported: `stock.stock_of` from shop/stock.py"),
        id="a member of an imported module",
    ),
    pytest.param(
        "import shop.stock\n\nshop.stock.stock_of(▮",
        ("shop/stock.py", "def stock_of", "shop/stock.py"),
        id="a member of a dotted module",
    ),
    pytest.param(
        "from .money import *\n\nx = rounded(1)\n▮",
        ("shop/money.py", "def rounded", "imported: `rounded` from shop/money.py"),
        id="used from a star import",
    ),
    pytest.param(
        "def price(order):\n    x = 1\n    y = order.total()\n    ▮",
        ("shop/orders/order.py", "def total", "named 1 line from the cursor: `total`"),
        id="named near the cursor",
    ),
    pytest.param(
        "class Shop(Order):\n" + "    x = 1\n" * 60 + "    def f(self):\n        ▮",
        ("shop/orders/order.py", "class Order", "named at the cursor: `Order`"),
        id="base of the enclosing class, far above",
    ),
    pytest.param(
        "# nothing imported\nunrelated nothing ▮",
        ("docs/notes.py", "def unrelated", "search: text"),
        id="found by search",
    ),
]


@pytest.mark.parametrize(("marked", "wanted"), WANTED)
def test_what_is_needed_is_there_and_says_why(marked, wanted):
    path, text, reason = wanted
    if "search" in reason:  # a name would be found before search is asked
        marked = marked.replace("unrelated nothing", "nothing else returns")
    assert reason in reason_of(packed(marked), path, text)


def test_nearer_imports_go_first_when_room_is_short():
    names = [f"thing_{number}" for number in range(30)]
    files = {f"lib/{name}.py": f"def {name}(a, b, c):\n    return a + b + c\n" for name in names}
    uses = "".join(f"    {name}(1, 2, 3)\n\n\n" for name in names)
    imports = "".join(f"from lib.{name} import {name}\n" for name in names)
    made = packed(f"{imports}\ndef work():\n{uses}    ▮\n", files=files, budget=200)
    assert {one.path for one in made.segments} >= {"lib/thing_29.py", "lib/thing_28.py"}
    assert not {one.path for one in made.segments} & {"lib/thing_7.py", "lib/thing_9.py"}, (
        "no search finds these"
    )
    assert any("had no room for" in note for note in made.notes)


def big_class(members: int) -> str:
    head = 'class Big:\n    """A large thing."""\n\n    size = 1\n'
    head += "\n    def __init__(self, size):\n        self.size = size\n"
    return head + "".join(
        f"\n    def member_{number}(self, value):\n"
        f"        first = value + {number}\n        return first * 2\n"
        for number in range(members)
    )


def test_a_large_class_is_shown_by_its_head_and_lines_of_its_members():
    made = packed(
        "from big import Big\n\nbig = Big(1)\nbig.member_50(2)\nbig.▮",
        files={"big.py": big_class(80)},
        budget=700,
    )
    shown = "".join(one.text for one in made.segments)
    assert "class Big:" in shown and "def __init__" in shown and "def member_50" in shown
    lines, bodies = shown.count("def member_"), shown.count("return first")
    assert lines > 30 and lines > 3 * bodies > 0, "many lines, few bodies"


def test_a_large_class_is_whole_where_there_is_room():
    made = packed("from big import Big\n\nBig(▮", files={"big.py": big_class(30)}, budget=6000)
    assert [(one.start_line, one.text) for one in made.segments] == [(0, big_class(30))]


def test_overlapping_spans_are_one_segment():
    made = packed("from shop.config import Config\n\nc = Config('')\nc.reload()\nc.▮")
    assert [one.start_line for one in made.segments if one.path == "shop/config.py"] == [0]


def test_unsaved_documents_stand_instead_of_stored_ones():
    new = "class Config:\n    changed: int = 1\n"
    made = packed(
        "from shop.config import Config\n\nConfig(▮", unsaved={"shop/config.py": new, "new.py": "x = 1\n"}
    )
    assert reason_of(made, "shop/config.py", "changed").startswith("imported")
    assert not any("currency" in one.text for one in made.segments)
    assert reason_of(made, "new.py", "x = 1") == "unsaved document"
    layers = [one.layer for one in made.segments]
    assert layers == sorted(layers, key=["base", "overlay", "retrieved"].index)


def test_what_is_likeliest_to_be_needed_stands_last():
    marked = "from shop.money import taxed, rounded\nfrom shop.config import Config\n\nConfig(taxed(rounded(▮"
    segments = packed(marked).segments
    places = [(one.path, one.start_line) for one in segments]
    by_file = [list(group) for _, group in itertools.groupby(places, key=lambda place: place[0])]
    assert {group[0][0] for group in by_file[-2:]} == {"shop/money.py", "shop/config.py"}
    assert len(by_file) == len({path for path, _ in places}), "a file's lines stand together"
    assert all(group == sorted(group) for group in by_file), "in their order"


def test_only_a_small_budget_has_single_lines_of_what_goes_on():
    files = {
        "lib.py": "".join(
            f"def thing_{number}(\n    first,\n    second,\n):\n    pass\n\n\n" for number in range(9)
        )
    }
    marked = "from lib import thing_3, thing_5\n\nthing_3(1, 2)\nthing_5(▮"

    def alone(budget: int) -> bool:
        return any(
            one.end_line - one.start_line == 1 for one in packed(marked, files=files, budget=budget).segments
        )

    assert alone(60) and not alone(SINGLE_LINES_UP_TO + 1)


NOTHING = [
    pytest.param({"path": "../elsewhere.py"}, "outside every open folder", id="outside"),
    pytest.param({"path": "shop/.env"}, "shop/.env is excluded", id="secrets"),
    pytest.param({"budget": LEAST_BUDGET - 1}, "too small for any context", id="budget"),
    pytest.param({"files": {}}, "nothing in this repository", id="empty repository"),
]


@pytest.mark.parametrize(("how", "note"), NOTHING)
def test_an_empty_pack_says_why(how, note):
    made = packed("from shop.config import Config\nConfig(▮", **how)
    assert not made.segments and any(note in one for one in made.notes)


def test_search_is_asked_before_the_text_is_read_and_waited_for_last(monkeypatch):
    done: list[str] = []

    class Watched(MemoryView):
        async def search(self, query: str, limit: int):
            done.append("asked")
            await asyncio.sleep(0.01)
            done.append("found")
            return await super().search(query, limit)

        @property
        def lexicon(self):
            done.append("gathering")
            return super().lexicon

    def reading(*arguments):
        done.append("reading")
        return probed(*arguments)

    monkeypatch.setattr("indexer.packing.pack.probed", reading)
    packed("from shop.config import Config\n\ndef start():\n    ▮", view=Watched(SHOP))
    assert list(dict.fromkeys(done)) == ["asked", "reading", "gathering", "found"]


class Slow(MemoryView):
    """Its loop is busy for `busy_s` while the pack is gathered, and its search takes `search_s`."""

    def __init__(self, busy_s: float, search_s: float) -> None:
        super().__init__(SHOP)
        self._busy_s, self._search_s = busy_s, search_s

    async def search(self, query: str, limit: int):
        await asyncio.sleep(self._search_s)
        return await super().search(query, limit)

    @property
    def lexicon(self):
        time.sleep(self._busy_s)
        return super().lexicon


def test_the_time_in_which_the_pack_is_gathered_does_not_count_against_the_search(monkeypatch):
    monkeypatch.setattr("indexer.packing.pack.SEARCH_TIMEOUT_S", 0.2)
    made = packed("def start():\n    currency = path\n    ▮", view=Slow(0.4, 0.01))
    assert not any("search took longer" in note for note in made.notes)


def test_a_search_that_is_waited_for_too_long_is_left_out_and_the_note_says_so(monkeypatch):
    monkeypatch.setattr("indexer.packing.pack.SEARCH_TIMEOUT_S", 0.05)
    made = packed("from shop.config import Config\nConfig(▮", view=Slow(0, 60))
    assert any("search took longer than 0.05 s" in note for note in made.notes)
    assert reason_of(made, "shop/config.py", "class Config")


def test_while_the_index_is_built_names_are_used_and_the_note_says_so():
    made = packed("from shop.config import Config\nConfig(▮", view=MemoryView(SHOP, ready=False))
    assert reason_of(made, "shop/config.py", "class Config")
    assert any("still being built" in note for note in made.notes)


ODD = [
    pytest.param("▮", id="empty"),
    pytest.param("def f(:\n  from shop.config import Config\n Config((( ▮", id="broken"),
    pytest.param("\r\nfrom shop.config import Config\r\nConfig(▮\r\n", id="windows lines"),
    pytest.param("x = '\ud800'\nConfig ▮", id="lone surrogate"),
    pytest.param("from shop import main\nfrom . import main\nmain.▮", id="imports itself"),
]


@pytest.mark.parametrize("marked", ODD)
@pytest.mark.parametrize(
    "path", ["shop/main.py", "shop/config.py", "shop/__init__.py", "README", "a.unknown"]
)
def test_odd_documents_still_give_a_valid_pack(marked, path):
    packed(marked, path=path)


def test_a_cursor_past_the_end_is_the_end():
    request = PackRequest("/project/shop/main.py", "from shop.config import Config\n", 99, 99, 4000, ESTIMATE)
    made = asyncio.run(pack(request, MemoryView(SHOP), "shop/main.py", EstimatedTokens(3.0)))
    assert any(one.path == "shop/config.py" for one in made.segments)


def test_reexports_in_a_circle_end():
    files = {"a.py": "from b import thing\n", "b.py": "from a import thing\nfrom a import *\n"}
    packed("from a import thing\nthing(▮", files=files)


# ---------------------------------------------------------------- steadiness

BODY = "from shop.config import Config\nfrom shop.money import taxed\n\ndef work(order):\n"


def test_equal_inputs_give_equal_packs():
    marked = BODY + "    taxed(Config(stock_of(▮"
    assert packed(marked) == packed(marked)


def test_a_moving_cursor_keeps_the_front():
    memory, before = PackMemory(), list[Segment]()
    for typed in (
        "    ▮",
        "    c = Config(▮",
        "    c = Config('')\n    stock_of(▮",
        "    stock_of(Order(taxed(▮",
    ):
        now = packed(BODY + typed, memory=memory, budget=2000).segments
        assert now[: len(before)] == before, "what was chosen keeps its place"
        before = now
    assert {"shop/stock.py", "shop/orders/order.py"} <= {one.path for one in before}


def test_a_budget_that_has_grown_is_filled_behind_what_is_there():
    files = {f"lib/fun_{number}.py": f"def fun_{number}(value):\n    return value\n" for number in range(40)}
    marked = "".join(f"from lib.fun_{number} import fun_{number}\n" for number in range(40)) + "fun_1(▮"
    memory = PackMemory()
    small = packed(marked, files=files, memory=memory, budget=200).segments
    large = packed(marked, files=files, memory=memory, budget=800).segments
    assert large[: len(small)] == small and len(large) > 2 * len(small)


def test_unhurried_a_budget_that_has_grown_is_filled_anew_and_once():
    """Definitions then stand in one piece; what follows keeps them as they are."""
    body = "    first = value + 1\n    second = first * 2\n    return second\n"
    files = {f"lib/fun_{number}.py": f"def fun_{number}(value):\n{body}" for number in range(40)}
    marked = "".join(f"from lib.fun_{number} import fun_{number}\n" for number in range(40)) + "fun_1(▮"
    memory, hurried = PackMemory(), PackMemory()
    small = packed(marked, files=files, memory=memory, budget=200).segments
    large = packed(marked, files=files, memory=memory, budget=2500, unhurried=True).segments
    packed(marked, files=files, memory=hurried, budget=200)
    assert packed(marked, files=files, memory=hurried, budget=2500).segments != large
    assert large == packed(marked, files=files, budget=2500).segments != small
    for unhurried in (False, True):
        again = packed(marked, files=files, memory=memory, budget=2500, unhurried=unhurried)
        assert again.segments == large


def test_a_member_stands_under_the_line_that_names_its_class():
    """Wherever there is room for that line: by itself a method says nothing of whose it is."""
    view = MemoryView(SHOP)
    (member,) = view.definitions_named("reload")
    alone = Candidate(member.path, member.start_line, member.end_line, member, Evidence(named=1.0), {})
    texts = Texts(view, EstimatedTokens(3.0), 1)
    made = Choice([alone], texts, 100).anew().segments
    assert [one.text.split("\n")[0] for one in made] == ["class Config:", "    def reload(self) -> None:"]
    assert made[0].reason and sum(one.tokens for one in made) <= 100


def test_what_is_near_gets_room_even_if_the_front_must_move():
    files = {f"lib/fun_{name}.py": f"def fun_{name}(value):\n    return value\n" for name in "abcdefgh"}
    memory = PackMemory()
    for one, two in ("ab", "cd"):
        marked = (
            f"from lib.fun_{one} import fun_{one}\nfrom lib.fun_{two} import fun_{two}\nfun_{one}(fun_{two}(▮"
        )
        made = packed(marked, files=files, memory=memory, budget=64)
        assert {segment.path for segment in made.segments} >= {f"lib/fun_{one}.py", f"lib/fun_{two}.py"}


def test_a_changed_file_is_never_kept_in_its_old_version():
    memory = PackMemory()
    marked = BODY + "    Config(taxed(▮"
    packed(marked, memory=memory)
    moved = {**SHOP, "shop/config.py": "import os\n\n\n" + SHOP["shop/config.py"]}
    made = packed(marked, files=moved, memory=memory)
    assert any(one.path == "shop/config.py" and one.start_line == 3 for one in made.segments), (
        "the same text lower down"
    )
    changed = {**SHOP, "shop/config.py": "class Config:\n    other = 1\n"}
    made = packed(marked, files=changed, memory=memory)
    assert reason_of(made, "shop/config.py", "other = 1")
    without = {path: text for path, text in SHOP.items() if path != "shop/config.py"}
    assert all(one.path != "shop/config.py" for one in packed(marked, files=without, memory=memory).segments)


def test_memory_is_bounded():
    memory = PackMemory(limit=2)
    for number in range(5):
        packed(BODY + "    Config(▮", path=f"shop/m{number}.py", memory=memory)
    assert len(memory._packs) == 2


# ---------------------------------------------------------------- properties

names = st.sampled_from(["Config", "taxed", "rounded", "stock_of", "LIMIT", "Order", "total", "other"])
statements = st.one_of(
    names.map(lambda name: f"from shop import {name}\n"),
    st.sampled_from(
        ["from shop.config import Config\n", "import shop.stock as s\n", "from .money import *\n"]
    ),
    names.map(lambda name: f"    {name}(\n"),
    st.sampled_from(
        ["\n", "def f(a):\n", "class A(Order):\n", "  )\n", "\t\n", "é = '漢'\n", "s.stock_of(1)\n"]
    ),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(statements, max_size=12), st.integers(0, 12), st.integers(0, 700), st.integers(0, 40))
def test_every_pack_is_valid(lines, cursor, budget, members):
    cursor = min(cursor, len(lines))
    marked = "".join(lines[:cursor]) + "▮" + "".join(lines[cursor:])
    files = {**SHOP, "shop/big.py": big_class(members), "shop/blank.py": "\n\n  \n"}
    memory = PackMemory()
    first = packed(marked, files=files, budget=budget, memory=memory)
    assert packed(marked, files=files, budget=budget) == first
    packed(
        "from shop.big import Big\nBig(▮" + marked.replace("▮", ""), files=files, budget=budget, memory=memory
    )


# ---------------------------------------------------------------- tokens


def test_unreadable_tokenizers_say_so(tmp_path: Path):
    bad = tmp_path / "tokenizer.json"
    for content in (None, b"", b"{}", b"\xff\xfe"):
        if content is not None:
            bad.write_bytes(content)
        with pytest.raises(TokenizerError, match="cannot be read"):
            tokenizer_for(TokenizerRef(str(bad)))


@pytest.fixture(scope="module")
def qwen() -> TokenizerRef:
    from engine.profiles import find
    from engine.weights.weights import WeightsError, ensure_tokenizer

    try:
        return TokenizerRef(
            str(ensure_tokenizer(find("qwen2.5-coder-0.5b"), lambda stage, done, total: None))
        )
    except WeightsError as error:
        pytest.skip(f"no tokenizer here: {error}")


def test_ids_and_counts_are_the_models(qwen):
    made = packed(BODY + "    Config(taxed(▮", tokenizer=qwen)
    assert made.segments and all(one.ids for one in made.segments)
    from engine.tokens import ModelTokenizer

    theirs = ModelTokenizer.from_file(Path(str(qwen.file)))
    evil = "<|fim_middle|>x<|endoftext|>\n\ud800 é\n"
    for text in (evil, *(one.text for one in made.segments)):
        assert tokenizer_for(qwen).encode(text) == theirs.encode(text), "both rooms read text alike"


def test_remembered_ids_are_bounded(qwen):
    tokens = ModelTokens(Path(str(qwen.file)), cached_tokens=50)
    for number in range(40):
        assert tokens.encode(f"value_{number} = 1\n") == tokens.encode(f"value_{number} = 1\n")
    assert tokens._held <= 50
