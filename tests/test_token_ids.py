"""Token ids of whole files: slices of them are the ids of segments, and they are counted once."""

from __future__ import annotations

import asyncio
import json
import sysconfig
from array import array
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_service import PATIENCE_S, client, isolate, repository, stop_service, until, write
from test_tokens import LINE, small_tokenizer

from indexer import paths
from indexer.children.counting import CountedFile, FileToCount, count_files, decode_counted
from indexer.children.manners import Manners
from indexer.client import IndexClient
from indexer.messages import PackRequest, TokenizerRef
from indexer.packing.token_lines import TokenLines, cuts_at_lines, pieces_of, token_lines, unpacked
from indexer.packing.tokens import load_tokenizer
from indexer.parsing.facts import content_key, facts_of
from indexer.parsing.lines import segment_text, split_lines, trim_span
from indexer.roots import retry
from indexer.roots.live import LiveRoot
from indexer.roots.token_filling import TokenFilling
from indexer.store import schema
from indexer.store.contents import ManifestEntry
from indexer.store.openings import Openings
from indexer.store.store import Store
from indexer.store.token_tables import fingerprint

SOURCE = "import os\n\n\ndef one():\n    return 1\n\ndef two():\n    return one()\n\n"


def by_words(text: str) -> list[int]:
    """As a tokenizer: of a run of line ends it makes one token with what is before it."""
    ids: list[int] = []
    for line in text.splitlines(keepends=True):
        if line.strip():
            ids.append(len(line.strip()) + 1_000)
        else:
            ids[-1:] = [ids[-1] + 1] if ids else [1]
    return ids


def encode_all(texts: list[str]) -> list[list[int]]:
    return list(map(by_words, texts))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("\n\n", []),
        ("a", [(0, "a\n")]),
        ("\n\na\n\n\n", [(2, "a\n")]),
        ("a\n  b\n\n \nc\n", [(0, "a\n"), (1, "  b\n\n \n"), (4, "c\n")]),
        ("a\n\rb\nc", [(0, "a\n\rb\n"), (2, "c\n")]),  # the tokenizer would join the two line ends
        ("a\r\n\r\nb\r\n", [(0, "a\n\n"), (2, "b\n")]),
    ],
)
def test_pieces_begin_where_nothing_is_joined(text, pieces):
    assert [(it.line, it.text) for it in pieces_of(split_lines(text))] == pieces


@pytest.mark.parametrize(
    ("span", "reached"),
    [
        ((0, 1), 0),
        ((0, 5), 4),
        ((3, 4), 4),
        ((3, 8), 8),
        ((0, 8), 8),
        ((6, 8), 8),
        ((1, 4), None),
        ((3, 9), None),
    ],
)
def test_what_is_not_a_slice_is_left_to_the_caller(span, reached):
    """A segment before an empty line ends otherwise than the piece that the file has there."""
    lines = split_lines(SOURCE)
    found = token_lines(lines, encode_all).of(*span)
    assert (None if found is None else found[1]) == reached
    if found is not None:
        ids, reached = found
        assert ids + by_words(segment_text(lines, reached, span[1])) == by_words(segment_text(lines, *span))


def test_what_is_stored_is_read_back(tmp_path):
    lines = token_lines(split_lines(SOURCE), encode_all)
    assert unpacked(*lines.packed()) == lines
    store = Store(tmp_path / "store", "test")
    table = store.token_tables.of("abc")
    empty = TokenLines(array("I"), array("I", [0]), array("I", [0]))
    store.write_token_ids(table, [CountedFile("k", *lines.packed()), CountedFile("e", *empty.packed())])
    store.write_token_ids(table, [CountedFile("k", *empty.packed())])
    store.close()
    store = Store(tmp_path / "store", "test")
    table = store.token_tables.of("abc")
    assert table.of("k") == lines and table.of("e") == empty and table.of("unknown") is None
    assert table.ids_of("k", 3, 8) == lines.of(3, 8)
    assert table.table.count_rows() == 2


def test_contents_that_are_forgotten_take_their_ids_with_them(tmp_path):
    store = Store(tmp_path / "store", "test")
    facts = [facts_of(f"x = {number}\n".encode(), "python") for number in range(3)]
    store.write(facts)
    table = store.token_tables.of("abc")
    lines = token_lines(["x"], encode_all).packed()
    store.write_token_ids(table, [CountedFile(one.key, *lines) for one in facts])
    store.remove_contents([facts[0].key])
    assert table.keys == {facts[1].key, facts[2].key} and table.of(facts[0].key) is None
    assert table.table.count_rows() == 2
    store.token_tables.keep_only([])
    assert not store.token_tables.all


def test_a_file_that_has_changed_is_not_counted_under_its_old_name(tmp_path):
    tokenizer = str(small_tokenizer(tmp_path / "tokenizer.json", special=True))
    for name in ("same.py", "changed.py"):
        (tmp_path / name).write_text("x = 1\n")
    key = content_key(b"x = 1\n", "python")
    (tmp_path / "changed.py").write_text("x = 2\n")
    files = [FileToCount(name, key) for name in ("changed.py", "gone.py", "same.py")]
    counted = decode_counted(count_files(tokenizer, str(tmp_path), files))
    assert [file.key for file in counted] == [key]
    assert unpacked(counted[0].ids, counted[0].shape).of(0, 1) is not None


def test_secrets_have_no_ids(tmp_path):
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    text = f'token = "{secret}"\n'
    (tmp_path / "a.py").write_text(text)
    tokenizer = small_tokenizer(tmp_path / "tokenizer.json", special=True)
    (counted,) = decode_counted(
        count_files(
            str(tokenizer), str(tmp_path), [FileToCount("a.py", content_key(text.encode(), "python"))]
        )
    )
    said = load_tokenizer(tokenizer).decode(unpacked(counted.ids, counted.shape).ids.tolist())
    assert "token" in said and secret[8:20] not in said


def test_a_tokenizer_that_joins_lines_is_told():
    assert cuts_at_lines(lambda text: [ord(character) for character in text])
    assert not cuts_at_lines(lambda text: [len(text)])


def test_what_was_used_is_remembered_and_a_damaged_note_is_no_harm(tmp_path):
    openings = Openings(tmp_path)
    openings.opened("/a")
    openings.asked_for("/a", TokenizerRef("/t.json"))
    openings.opened("/b")
    again = Openings(tmp_path)
    assert again["/a"].tokenizer == TokenizerRef("/t.json") and again["/a"].opened_s > 0
    assert again["/b"].tokenizer is None and again["/c"].opened_s == 0
    again.forget(["/a"])
    assert Openings(tmp_path).tokenizers() == []
    (tmp_path / "roots.json").write_text("{")
    assert Openings(tmp_path)["/b"].opened_s == 0


QWENS_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""As in the tokenizer.json of Qwen2.5 (Apache-2.0)."""


def tokenizer_like_qwens(path: Path) -> Path:
    """Cuts words as the Qwen family does, with a vocabulary of characters."""
    content = json.loads(small_tokenizer(path, special=True).read_text())
    content["model"]["vocab"] |= {character: 300 + n for n, character in enumerate("ĠĊčĉ")}
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWENS_WORDS}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    }
    path.write_text(json.dumps(content))
    return path


async def _until_counted(connected: IndexClient, root: Path, contents: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await connected.status(str(root))).roots[0].counted != contents:
            await asyncio.sleep(0.05)


async def test_files_are_counted_ahead_once_somebody_packs(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    root = repository(tmp_path / "work", {f"m{number}.py": f"{SOURCE}x = {number}\n" for number in range(9)})
    tokenizer = tokenizer_like_qwens(tmp_path / "tokenizer.json")
    table = f"token_ids-{fingerprint(tokenizer)}"
    try:
        async with client() as connected:
            await connected.open_root(str(root), wait=True)
            assert table not in (await connected.status()).store_kinds
            text = TokenizerRef(str(tokenizer))
            await connected.pack(PackRequest(str(root / "m1.py"), SOURCE, 3, 0, 500, text, str(root)))
            await _until_counted(connected, root, 9)
            assert table in (await connected.status()).store_kinds
        await stop_service()
        write(root / "m1.py", SOURCE)  # counted by the next service, without anybody asking again
        key = content_key(SOURCE.encode(), "python")
        async with client() as connected:
            await connected.open_root(str(root), wait=True)
            await _until_counted(connected, root, 9)
    finally:
        await stop_service()
    store = Store(paths.store_folder() / schema.generation(), "test")
    found = store.token_tables.of(fingerprint(tokenizer)).ids_of(key, 3, 8)
    ids = (
        load_tokenizer(tokenizer)
        .encode(segment_text(split_lines(SOURCE), 3, 8), add_special_tokens=False)
        .ids
    )
    assert found == (ids, 8)
    store.close()


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (OSError(28, "No space left on device"), "No space left"),
        (RuntimeError("lance error: No space left on device"), "is full"),
        (RuntimeError("lance error: file is too small"), "file is too small"),
    ],
    ids=str,
)
async def test_counting_is_tried_again_until_it_is_whole(tmp_path, monkeypatch, failure, said):
    """Without anybody saving or packing: the disk has room again."""
    monkeypatch.setattr(retry, "FIRST_S", 0.3)
    (tmp_path / "a.py").write_text(SOURCE)
    facts = facts_of(SOURCE.encode(), "python")
    store = Store(tmp_path / "store", "test")
    tokenizer = TokenizerRef(str(small_tokenizer(tmp_path / "tokenizer.json", special=True)))
    store.openings.asked_for(str(tmp_path), tokenizer)
    contents = {content.key: content for content in store.write([facts])}
    live = LiveRoot({"a.py": ManifestEntry(facts.key, facts.size, 1)}, contents)
    failures, write_token_ids = [failure], store.write_token_ids

    def write_once_there_is_room(table, counted):
        if failures:
            raise failures.pop()
        write_token_ids(table, counted)

    monkeypatch.setattr(store, "write_token_ids", write_once_there_is_room)
    doubts = []
    filling = TokenFilling(
        tmp_path, lambda: live, lambda *_: None, lambda: None, Manners(lambda: ""), doubts.append
    )
    try:
        filling.start(store)
        await until(lambda: said in filling.note)
        await until(lambda: store.counted(str(tmp_path), [facts.key]) == 1)
        await until(lambda: not filling.note)
        assert doubts == [failure]
    finally:
        filling.stop()
        store.close()


# ------------------------------------------------------------ the real vocabulary


@cache
def _qwen():
    from engine.profiles import PROFILES
    from engine.weights.tokenizer_file import ensure_tokenizer
    from engine.weights.weights import ensure

    ensure(PROFILES["qwen2.5-coder-0.5b"])
    return load_tokenizer(Path(str(ensure_tokenizer(PROFILES["qwen2.5-coder-0.5b"]))))


def _encode(text: str) -> list[int]:
    return _qwen().encode(text, add_special_tokens=False).ids


def _assert_slices(text: str, most: int | None = None) -> int:
    """Every segment of a text (or some of a long one) is a slice, but for its last piece."""
    lines = split_lines(text)
    whole = token_lines(lines, lambda texts: list(map(_encode, texts)))
    starts = [piece.line for piece in pieces_of(lines)]
    checked = 0
    for start in starts[:: max(1, len(starts) // most)] if most else starts:
        for end in (start + 1, start + 2, start + 17, len(lines)):
            first, last = trim_span(lines, start, min(end, len(lines)))
            found = whole.of(first, last)
            assert found is not None
            ids, reached = found
            assert ids + _encode(segment_text(lines, reached, last)) == _encode(
                segment_text(lines, first, last)
            )
            checked += 1
    return checked


@pytest.mark.engine
def test_segments_of_real_source_are_slices():
    assert cuts_at_lines(_encode)
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:60]
    assert sum(_assert_slices(file.read_text(encoding="utf-8"), 40) for file in files) > 5_000


@pytest.mark.engine
@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=8), st.booleans())
def test_segments_of_any_text_are_slices(lines, last_newline):
    _assert_slices("\n".join(lines) + "\n" * last_newline)
