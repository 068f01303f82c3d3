"""The editing simulation: replays make each commit's files, the future is unknown, and the cache is SGLang's own."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from host_client import connect
from hypothesis import given
from hypothesis import strategies as st
from index_service import client, isolate, stop_service

from benchmarks.context.base_share import BaseShare, Kept, read_again
from benchmarks.context.editor import Editor
from benchmarks.context.history import Change, Commit, git, main_line, read, tree, write
from benchmarks.context.layers import LAYERS, Asked, recomputed
from benchmarks.context.release_history import changes, commits
from benchmarks.context.replay import Committed, Edited, Event, Opened, Saved, Written, replay
from benchmarks.context.simulation import Setting, Simulation, prepare
from benchmarks.context.simulation_figures import prompt_figures
from benchmarks.engine.tiny_moe import LAST_ID, Size
from benchmarks.engine.tiny_moe import build as build_model
from benchmarks.targets import TargetError
from engine.hosting.launcher import ensure_engine, stop_engine
from engine.profiles import QWEN_SMALL, find
from engine.tokens import ModelTokenizer
from engine.weights.tokenizer_file import ensure_tokenizer
from indexer.messages import Segment

LINES = st.sampled_from(
    ["", "a = 1", "    b = call(a)", "é 漢 🎉", "def c():", "\tx", "}", "a = 2", "\x0c", "c\u2028d"]
)
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
CONTENTS = st.one_of(TEXTS.map(str.encode), st.binary(max_size=8))
FILES = st.dictionaries(st.sampled_from(["a.py", "b/c.py", "d.txt", "e.bin"]), CONTENTS, max_size=4)


def carried_out(events: Sequence[Event], files: dict[str, bytes]) -> dict[str, bytes]:
    """What a disk holds after the events."""
    disk, documents = dict(files), dict[str, str]()
    for event in events:
        match event:
            case Opened(path=path):
                documents.setdefault(path, disk.get(path, b"").decode())
            case Edited(path=path, start=start, end=end, text=text):
                documents[path] = documents[path][:start] + text + documents[path][end:]
            case Saved(path=path):
                disk[path] = documents[path].encode()
            case Written(path=path, content=content):
                disk.pop(path, None)
                disk |= {path: content} if content is not None else {}
            case Committed():
                pass
    return disk


@given(FILES, FILES)
def test_a_replay_makes_the_files_of_its_commit(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    commit = Commit("made", 0, changes(old, new))
    others = [path for path, content in old.items() if content.isascii()]
    events = list(replay(commit, others))
    assert carried_out(events, old) == new
    assert events == list(replay(commit, others))  # the same commit gives the same events


@pytest.mark.parametrize(
    ("old", "new", "typed"),
    [
        ("a\nb\n", "a\nxy\nb\n", ["\n", "x", "y"]),  # behind the line before, not before the line after
        ("f(a)\n", "f(a, b)\n", [",", " ", "b"]),
        ("", "if a:\n    b\n", [*"if a:", "\n    ", "b", "\n"]),  # editors indent
        ("a\nb\n", "b\n", []),
    ],
)
def test_what_is_typed(old: str, new: str, typed: list[str]) -> None:
    commit = Commit("made", 0, (Change("a.py", old.encode(), new.encode()),))
    edits = [event for event in replay(commit) if isinstance(event, Edited)]
    assert [edit.text for edit in edits if edit.typed] == typed


def test_a_release_history_ends_each_release_with_its_tree(tmp_path: Path) -> None:
    first = {"a.py": b"import one_name\n\n\ndef first_name():\n    return 1\n", "bin": b"\xff\0"}
    second = {"a.py": b"import one_name\n\n\ndef first_name(two_names):\n    return 2\n", "bin": b"\xff\1"}
    third = {"b.py": b"from c import first_name\n", "c.py": first["a.py"]}
    releases = [("1", 1_000, first), ("2", 5_000, second), ("3", 9_000, third)]
    repository = write(commits(releases), tmp_path / "one")
    again = write(commits(releases), tmp_path / "two")
    assert main_line(repository) == main_line(again)
    by_message = {
        commit.message: commit for commit in (read(repository, sha) for sha in main_line(repository))
    }
    for name, then_s, files in releases:
        release = by_message[f"Release {name}"]
        git(repository, "checkout", "--quiet", release.sha)
        assert (release.when_s, tree(repository)) == (then_s, files)
    assert len(by_message) > len(releases)  # and there are commits between them


def test_layers_behind_what_is_cached() -> None:
    tokens = dict(zip(LAYERS, (10, 0, 20, 5, 3), strict=True))
    assert [list(recomputed(tokens, cached).values()) for cached in (0, 12, 34, 37)] == [
        [10, 0, 20, 5, 3],
        [0, 0, 18, 5, 3],
        [0, 0, 0, 1, 3],
        [0, 0, 0, 0, 1],
    ]


def test_figures_are_shares_of_all_tokens() -> None:
    prompts = [(100, 60), (300, 300 - 4)]
    asked = [
        Asked("a.py", 0, "typed", cached, tokens, recomputed(tokens, cached))
        for size, cached in prompts
        for tokens in [dict(zip(LAYERS, (10, 0, size - 40, 26, 4), strict=True))]
    ]
    found = {each.name: each for each in prompt_figures(Setting("4k", 4_096, 8_192, 1_000.0), asked, "made")}
    assert found["sim_cached_4k"].value == 356 / 400  # of the tokens of both, not the mean of two shares
    assert (found["sim_cached_4k"].min, found["sim_cached_4k"].max) == (0.6, 296 / 300)
    assert found["sim_recomputed_retrieved_4k"].value == 5
    assert found["sim_first_miss_retrieved_4k"].value == found["sim_first_miss_suffix_4k"].value == 0.5


# ---------------------------------------------------------------- the base


def base(name: str, *paths: str) -> BaseShare:
    """Of files of ten tokens each, in this order."""
    segments = [Segment(path, 0, 1, 10, "base", "", f"{path}\n") for path in paths]
    return BaseShare(name, segments, DISK.get)


DISK: dict[str, bytes | None] = {}


@pytest.mark.parametrize(
    ("changed", "own", "kept"),
    [
        ([], "other", Kept(1.0, 1.0)),
        ([], "a", Kept(0.75, 0.0)),  # what is edited most is last in our order, first by path
        (["b"], "other", Kept(0.5, 0.25)),
        (["c"], "a", Kept(0.0, 0.0)),
    ],
)
def test_a_base_is_kept_up_to_its_first_untrue_file(changed: list[str], own: str, kept: Kept) -> None:
    DISK.clear()
    made = base("one", "c", "d", "b", "a")
    DISK.update(dict.fromkeys(changed, b"changed"))
    assert made.kept(own) == kept
    DISK.clear()
    assert made.kept("other") == Kept(1.0, 1.0)  # taken back: true again


def test_what_is_read_again_when_a_base_is_made_anew() -> None:
    bases = [base("one", "c", "d", "b", "a"), base("two", "c", "d", "b"), base("three", "c", "d", "a", "b")]
    assert read_again(bases[:1]) == Kept(0.0, 0.0)
    # in our order the second is a beginning of the first; in the order of paths it begins with another file
    assert read_again(bases[:2]) == Kept(0.0, 1.0)
    assert read_again(bases) == Kept(20 / 70, 30 / 70)


# ---------------------------------------------------------------- the future


PLANTED = "planted_word_of_the_second_commit"
SCALED = b"def scaled(value):\n    return value * 2\n"
AREA = b"from pkg.scale import scaled\n\n\ndef area_of(shape):\n    return scaled(shape.area)\n"
TWICE = b"\n\ndef twice_the_area_of(shape):\n    return scaled(area_of(shape))\n"
PAST = {"pkg/scale.py": SCALED, "pkg/a.py": AREA}
LATER = {
    "pkg/scale.py": SCALED,
    "pkg/a.py": AREA + TWICE,
    "pkg/c.py": f"def {PLANTED}():\n    return area_of\n".encode(),
}


@pytest.fixture
def history(tmp_path: Path) -> Path:
    made = [Commit("past", 1_000, changes({}, PAST)), Commit("later", 2_000, changes(PAST, LATER))]
    return write(made, tmp_path / "history")


def test_nothing_of_the_future_is_in_the_work_tree(history: Path, tmp_path: Path) -> None:
    later = read(history, main_line(history)[-1])
    root = prepare(history, [later], tmp_path / "work")
    assert tree(root) == PAST
    objects = git(root, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()
    assert objects
    assert not any(PLANTED.encode() in git(root, "cat-file", "-p", name.decode()) for name in objects)


class Longest:
    """A prefix cache that forgets nothing, the slow way."""

    def __init__(self) -> None:
        self.prompts: list[list[int]] = []

    async def found(self, ids: Sequence[int]) -> int:
        longest = max((common(ids[:-1], known) for known in self.prompts), default=0)
        self.prompts.append(list(ids))
        return longest


def common(one: Sequence[int], other: Sequence[int]) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


@pytest.mark.parametrize("leaks", [False, True])
def test_words_that_are_typed_later_are_in_no_prompt(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaks: bool
) -> None:
    isolate(monkeypatch, tmp_path)
    later = read(history, main_line(history)[-1])
    root = prepare(history, [later], tmp_path / "work")

    class Leaky(Editor):
        async def open(self) -> None:
            await super().open()
            if leaks:  # after the simulation has begun: as if somebody had checked the commit out
                text = SCALED.decode().replace("value)", f"value, {PLANTED}=1)")
                await self.link.client.overlay(str(root / "pkg/scale.py"), text)

    async def simulate() -> None:
        async with client() as service:
            editor = Leaky(service, root)
            tokenizer = ModelTokenizer.from_file(ensure_tokenizer(QWEN_SMALL))
            simulation = Simulation(editor, Setting("small", 1_024, 8_192, 1_000.0), tokenizer, Longest())
            asked = await simulation.run([later], lambda _: None, 1_000)
            assert len(asked) > 3
            assert any(each.tokens["retrieved"] for each in asked)
            await editor.link.close()
        await stop_service()

    if leaks:
        with pytest.raises(TargetError, match=PLANTED):
            asyncio.run(simulate())
        asyncio.run(stop_service())
    else:
        asyncio.run(simulate())
        assert tree(root) == LATER


# ---------------------------------------------------------------- the prefix cache


def test_the_prefix_cache_finds_the_longest_prefix_and_forgets_the_oldest() -> None:
    pytest.importorskip("sglang")
    from benchmarks.context.prefix_cache_child import Cache

    cache, slow, chance = Cache(100_000), Longest(), random.Random(1)
    for _ in range(200):
        known = chance.choice(slow.prompts) if slow.prompts else []
        ids = [
            *known[: chance.randint(0, len(known))],
            *(chance.randint(0, 5) for _ in range(chance.randint(1, 30))),
        ]
        assert cache.found(array("q", ids)) == asyncio.run(slow.found(ids))
    small = Cache(1_000)
    first, second, third = ([number, *range(400)] for number in (1_001, 1_002, 1_003))
    found = [small.found(array("q", ids)) for ids in (first, second, first, third, first, second)]
    assert found == [
        0,
        0,
        400,
        0,
        400,
        0,
    ]  # the third took the place of the second, which was older than the first


POOL_TOKENS = 3_000
"""Of the engine below: the prompts of the test take several times as many."""


@pytest.fixture
async def tiny_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("sglang")
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / name))
    profile = find("smollm2-135m")
    folder = ("--folder", str(build_model(tmp_path / "model", Size(context=POOL_TOKENS))))
    limits = ("--", "--max-total-tokens", str(POOL_TOKENS))
    yield await ensure_engine(profile, timeout_s=240, host_arguments=(*folder, *limits))
    await stop_engine(profile.short, timeout_s=10)


@pytest.mark.engine
async def test_the_prefix_cache_finds_what_a_running_engine_finds(tiny_host) -> None:
    from benchmarks.context.prefix_cache_child import Cache

    cache, chance, prompts = Cache(POOL_TOKENS), random.Random(2), [[5]]
    found: list[tuple[int, int]] = []
    async with connect(tiny_host) as engine:
        for _ in range(60):
            known = chance.choice(prompts[-8:])
            kept = chance.randint(0, min(len(known), 600))
            ids = [*known[:kept], *(chance.randint(5, LAST_ID) for _ in range(chance.randint(20, 300)))]
            prompts.append(ids)
            body = {"input_ids": ids, "sampling_params": {"temperature": 0, "max_new_tokens": 1}}
            answer = (await engine.post("/generate", json=body)).json()
            found.append((cache.found(array("q", ids)), answer["meta_info"]["cached_tokens"]))
    ours, theirs = zip(*found, strict=True)
    assert ours == theirs
    assert any(ours)
