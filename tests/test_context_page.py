"""The window at a cursor: its parts measured in the prompt's own tokens, as JSON and as a page."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser

import msgspec
import pytest

from engine.endpoints.sse import EngineRequestError
from engine.profiles import find
from engine.prompts import ContextSegment, Prompt, completion_prompt
from engine.tokens import EstimateTokenizer, ModelTokenizer
from engine.weights.weights import WeightsError, ensure_tokenizer
from indexer.messages import Pack, Segment
from lsp.completion import Reading
from lsp.context.document import document
from lsp.context.page import MOST_BLOCKS, context_page
from lsp.context.window import LAYERS, Cached, ContextWindow, Part, cached_by, window_of
from lsp.documents import Snapshot
from lsp.trim import Place

QWEN, SMOLLM = find("qwen2.5-coder-0.5b"), find("smollm2-135m")
UNKNOWN = Cached(None, "no engine runs here")
BEFORE, AFTER = "import shop\n\n\ndef total(cart):\n    return ", "\n\n\nx = 1\n"
TEXTS = (
    ("base", "shop/money.py", "def rounded(amount):\n    return round(amount, 2)\n"),
    ("overlay", "shop/cart.py", "class Cart:\n    lines: list\n"),
    ("retrieved", "shop/tax.py", "RATE = 0.19\n"),
)


@cache
def tokenizer_of(short: str) -> ModelTokenizer:
    try:
        return ModelTokenizer.from_file(ensure_tokenizer(find(short), lambda stage, done, total: None))
    except WeightsError as error:
        pytest.skip(f"no tokenizer of {short} here: {error}")


def made(
    cached: Cached = UNKNOWN,
    profile=QWEN,
    tokenizer=None,
    texts=TEXTS,
    before=BEFORE,
    after=AFTER,
    window=512,
    suffix=128,
    **snapshot,
) -> tuple[ContextWindow, Prompt]:
    tokenizer = tokenizer or tokenizer_of(profile.short)
    segments: list[Segment] = []
    for layer, path, text in texts:
        named = segments and segments[-1].path == path
        tokens = tokenizer.count(text) + (0 if named else 1 + tokenizer.count(path + "\n"))
        end = 4 + text.count("\n")
        segments.append(Segment(path, 4, end, tokens, layer, f"`{path}` is <needed>", text))
    pack = Pack(4096, sum(each.tokens for each in segments), segments, notes=["no room for 3 definitions"])
    document = Snapshot("file:///shop/app.py", "/shop/app.py", "python", 1, before + after, **snapshot)
    preamble = document.preamble
    prompt = completion_prompt(
        profile=profile,
        tokenizer=tokenizer,
        repo_name="shop",
        segments=[ContextSegment(each.path, each.text) for each in segments],
        path="app.py",
        before=preamble + before,
        after=after,
        max_window_tokens=window,
        max_suffix_tokens=suffix,
    )
    reading = Reading(Place(preamble + before, after, False, "python", 40), pack, "", prompt)
    return window_of(document, reading, profile, tokenizer, cached=cached, limit=32_768), prompt


# What the parts are


@pytest.mark.parametrize(
    ("profile", "layers"),
    [
        (QWEN, ["header", "base", "overlay", "retrieved", "window", "suffix"]),
        (SMOLLM, ["header", "base", "overlay", "retrieved", "window"]),
    ],
    ids=["qwen", "smollm"],
)
def test_the_parts_are_the_prompt(profile, layers) -> None:
    """All of it, in its order, each with exactly the tokens that it takes there."""
    window, prompt = made(profile=profile)
    assert [part.layer for part in window.parts] == layers
    assert window.tokens == len(prompt.ids or [])
    assert [part.tokens for part in window.parts[1:4]] == [
        1 + len(tokenizer_of(profile.short).encode(f"{path}\n" + text)) for _, path, text in TEXTS
    ]
    assert window.used == sum(part.tokens for part in window.parts[1:4])
    assert (window.path, window.line, window.character) == ("app.py", 4, 11)
    cursors = window.parts[4]
    assert (cursors.text, cursors.start_line, cursors.end_line) == (prompt.window, 0, 5)


def test_runs_of_one_file_share_its_name() -> None:
    """The first of them pays for it; together they are what the prompt holds."""
    runs = (
        ("base", "a.py", "a = 1\n"),
        ("retrieved", "shop/tax.py", "RATE = 0.19\n"),
        ("retrieved", "shop/tax.py", "def tax(net):\n    return net * RATE\n"),
        ("retrieved", "shop/tax.py", "x = 1\n"),
        ("retrieved", "a.py", "b = 2\n"),
    )
    count = tokenizer_of(QWEN.short).count
    window, prompt = made(Cached(10_000, "told"), texts=runs)
    assert window.tokens == len(prompt.ids or [])
    name = 1 + count("shop/tax.py\n")
    assert [part.tokens for part in window.parts[2:5]] == [
        name + count(runs[1][2]), count(runs[2][2]), count(runs[3][2]),
    ]  # fmt: skip
    assert all(part.cached for part in window.parts)


def test_what_is_cached_ends_inside_a_part() -> None:
    whole, prompt = made()
    lengths = [part.tokens for part in whole.parts]
    for cached in (0, 1, sum(lengths[:2]), sum(lengths[:2]) + 3, sum(lengths) - 1, sum(lengths), 10_000):
        window, _ = made(Cached(cached, "told"))
        known = [part.cached_tokens or 0 for part in window.parts]
        assert sum(known) == min(cached, len(prompt.ids or []))
        first_new = next((at for at, part in enumerate(window.parts) if not part.cached), len(known))
        assert all(part.cached for part in window.parts[:first_new])
        assert known[first_new + 1 :] == [0] * len(known[first_new + 1 :])


def test_where_nobody_knows_nothing_is_guessed() -> None:
    window, _ = made()
    assert {(part.cached, part.cached_tokens) for part in window.parts} == {(None, None)}
    estimated, _ = made(Cached(50, "told"), tokenizer=EstimateTokenizer())
    assert {part.cached for part in estimated.parts} == {None}
    assert all(part.tokens > 0 for part in estimated.parts)
    assert [part.tokens for part in estimated.parts[1:4]] == [
        1 + EstimateTokenizer().count(path + "\n") + EstimateTokenizer().count(text)
        for _, path, text in TEXTS
    ]


def test_what_is_left_out_of_the_file_is_said() -> None:
    long = "".join(f"value_{number} = {number}\n" for number in range(400))
    window, prompt = made(before=long + "x = ", after="\n" + long, window=300, suffix=60)
    cursors, suffix = window.parts[-2:]
    assert prompt.window_start_line == cursors.start_line and cursors.end_line == 401
    assert f"the first {prompt.window_start_line} have no room" in cursors.reason
    assert "of 401 lines" in suffix.reason and suffix.end_line < 440
    assert suffix.text and suffix.text in "\n" + long
    at_end, _ = made(after="")
    assert at_end.parts[-1].reason == "nothing follows the cursor"
    assert any("reads nothing that follows" in note for note in made(profile=SMOLLM)[0].notes)


def test_lines_of_a_cell_are_its_own() -> None:
    """What stands before it in the notebook is read, and no line of the cell."""
    window, prompt = made(preamble="import shop\nprice = 1\n")
    assert (window.line, window.parts[-2].start_line, window.parts[-2].end_line) == (4, 0, 5)
    assert prompt.window.startswith("import shop\nprice = 1\n")


async def test_who_cannot_say_what_is_cached_is_named() -> None:
    class Silent:
        name = "a server"

    class Broken(Silent):
        async def cached(self, ids):
            raise EngineRequestError("timeout", "it did not answer")

    class Unsure(Silent):
        async def cached(self, ids):
            return None

    prompt = Prompt([1, 2], "", "", "", "", 0, 2)
    for endpoint, said in (
        (Silent(), "a server does not"),
        (Broken(), "did not answer"),
        (Unsure(), "does not"),
    ):
        found = await cached_by(endpoint, prompt)  # type: ignore[arg-type]
        assert found.tokens is None and said in found.note
    without_ids = msgspec.structs.replace(prompt, ids=None)
    assert "estimated" in (await cached_by(Unsure(), without_ids)).note  # type: ignore[arg-type]


# As JSON


@pytest.mark.parametrize("first_line", [0, 1])
def test_the_document_keeps_its_shape(first_line) -> None:
    window, _ = made(Cached(30, "told"))
    told = document(window, first_line=first_line)
    assert set(told) == {"budget", "tokens", "segments", "notes", "window"}
    names = {"path", "start_line", "end_line", "tokens", "layer", "reason", "text"}
    assert all(set(each) == names for each in told["segments"])
    first = told["segments"][0]
    assert (first["start_line"], first["end_line"], first["layer"]) == (4 + first_line, 6, "base")
    assert (told["budget"], told["tokens"]) == (4096, window.used)
    parts = told["window"]["parts"]
    assert [each.get("segment") for each in parts] == [None, 0, 1, 2, None, None]
    assert "text" not in parts[1] and parts[4]["text"] == window.parts[4].text
    assert told["window"]["cached_tokens"] == 30 == sum(each["cached_tokens"] for each in parts)
    assert parts[0]["cached"] is True and parts[-1]["cached"] is False


# As a page


class Tree(HTMLParser):
    """Every element closed, every id unique; collects what a reader would see."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.pres: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "pre":
            self.pres.append("")

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)
        if "pre" in self.open:
            self.pres[-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_shows_every_part() -> None:
    window, _ = made(Cached(sum(part.tokens for part in made()[0].parts[:2]) + 3, "told"))
    tree = Tree(context_page(window))
    blocks = [each for each in tree.of("a") if "block" in (each["class"] or "")]
    assert [each["href"] for each in blocks] == [f"#p{at}" for at in range(6)]
    assert [each["id"] for each in tree.of("details")] == [f"p{at}" for at in range(6)]
    for part, block, opened in zip(window.parts, blocks, tree.of("details"), strict=True):
        assert f"--t:{part.tokens}" in (block["style"] or "")
        assert part.layer in (block["class"] or "") and part.layer in (opened["class"] or "")
        assert f"{part.tokens} tokens" in (block["aria-label"] or "")
    said = [each["aria-label"] or "" for each in blocks]
    assert [each.rpartition(", ")[2] for each in said[:2]] == ["cached", "cached"]
    assert f"3 of {window.parts[2].tokens} cached" in said[2]
    assert [each.rpartition(", ")[2] for each in said[3:]] == ["new"] * 3
    text = " ".join(tree.texts)
    for each in (*LAYERS, "no room for 3 definitions", f"{window.free:,} free", "app.py:5:12", "32,768"):
        assert each in text
    assert [pre.removeprefix("\n") for pre in tree.pres[1::2]] == [part.text for part in window.parts]


def test_the_page_asks_nothing_of_a_network() -> None:
    page = context_page(made()[0])
    assert not re.search(r"https?:|url\(|@import|<link|<img|<iframe| src=", page)
    assert "default-src 'none'" in page
    assert "$" not in page.replace("$title", "") or "${" not in page


def test_where_nothing_is_known_of_the_cache_nothing_looks_new() -> None:
    page = context_page(made()[0])
    tree = Tree(page)
    assert not any("--c" in (each.get("style") or "") for each in tree.of("a"))
    assert "unknown" in " ".join(tree.texts) and UNKNOWN.note in page
    assert 'class="swatch new"' not in page


HOSTILE = "</pre><script>alert(1)</script>\"'&amp;<!-- $title ${x} \x00\x1b\ud800 ]]>\n"


def test_what_a_repository_says_is_only_ever_text() -> None:
    """In its texts, paths, reasons and notes, whatever they spell."""
    texts = (("retrieved", 'a"><script>alert(2)</script>/\x00b.py', HOSTILE), ("someday", "b.py", HOSTILE))
    window, _ = made(Cached(3, '"><script>alert(3)</script>'), texts=texts, before=HOSTILE * 2, after=HOSTILE)
    window = msgspec.structs.replace(window, notes=[HOSTILE], model=HOSTILE, path=HOSTILE)
    page = context_page(window)
    tree = Tree(page)
    assert len(tree.of("script")) == 1 and "\x00" not in page and "\x1b" not in page
    page.encode()
    assert tree.pres[3].removeprefix("\n") == HOSTILE.translate(
        {0: "\ufffd", 0x1B: "\ufffd", 0xD800: "\ufffd"}
    )
    assert "someday" in " ".join(tree.texts), "a layer that this page does not know is shown all the same"


def test_a_text_that_begins_with_an_empty_line_keeps_it() -> None:
    """HTML drops the first line break of a `pre`."""
    window, _ = made(before="\n\nx = ", texts=())
    assert Tree(context_page(window)).pres[-3] == "\n" + window.parts[-2].text


def luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in values]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_colours_can_be_told_from_the_page(scheme) -> None:
    """WCAG 2.2: 4.5 for text, 3 for what is no text."""
    page = context_page(made()[0])
    colours = {}
    for match in re.finditer(r"--(\w+): (#\w{6});", page):
        colours.setdefault(match[1], []).append(match[2])
    for text in ("ink", "quiet"):
        for ground in ("paper", "sheet"):
            assert contrast(colours[text][scheme], colours[ground][scheme]) >= 4.5, (text, ground)
    for layer in (*LAYERS, "focus"):
        assert contrast(colours[layer][scheme], colours["paper"][scheme]) >= 3, layer


def test_a_window_of_256k_tokens() -> None:
    """Two thousand parts of a megabyte in one page."""
    parts = [
        Part(
            layer="base", path=f"pkg/module_{at}.py", start_line=0, end_line=16, tokens=128, reason="base",
            text="    value = compute(other, value)\n" * 16, cached_tokens=128,
        )
        for at in range(2048)
    ]  # fmt: skip
    window = msgspec.structs.replace(made(Cached(262_144, "told"))[0], parts=parts)
    page = context_page(window)
    assert len(page) < 4_000_000
    blocks = [each for each in Tree(page).of("a") if "block" in (each["class"] or "")]
    assert len(blocks) <= MOST_BLOCKS + 1, "a bar has room for so many; its blocks stand for several parts"
    assert sum(int(re.search(r"--t:(\d+)", each["style"] or "").group(1)) for each in blocks) == 262_144
    assert "and 17 more, 2,304 tokens, base, cached" in (blocks[0]["aria-label"] or "")
    assert page.count("<details") == 2048 and "content-visibility" in page
