"""The completion benchmark: keys from histories, llama.vim's method, what counts of what was shown, the watchdog."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from benchmarks.client import Editor
from benchmarks.context.history import Change, Commit
from benchmarks.context.replay import KEY_S, THOUGHT_S, Edited, Opened, Written
from benchmarks.lsp import llama_server, ours_side
from benchmarks.lsp.figures import trace_figures
from benchmarks.lsp.keystrokes import (
    LONGEST_S,
    MEAN_INTERVAL_S,
    MOST_KEYS,
    SHORTEST_S,
    Key,
    Run,
    Step,
    chosen,
    pause_s,
    steps,
)
from benchmarks.lsp.llamavim import Cache, Ring, context_at, likeness, shown_of
from benchmarks.lsp.llamavim_side import LlamaServer, LlamaVim
from benchmarks.lsp.opening import Watched
from benchmarks.lsp.ours_side import Debounced
from benchmarks.lsp.overhead import Answered, own_time_s
from benchmarks.lsp.playing import Screen
from benchmarks.lsp.run import nothing_shown
from benchmarks.lsp.scoring import Ghost, Played, keys_inside, repeats_suffix, score, shown_before, waits
from benchmarks.lsp.scripted_engine import ScriptedEngine
from benchmarks.targets import TargetError
from lsp.cli import app
from lsp.watchdog import Watchdog

OLD = "import os\n\n\ndef first():\n    return 1\n"
ADDED = "def second(value):\n    total = value + 1\n    return total\n"
NEW = OLD + "\n\n" + ADDED
README = "A line of words that somebody has written down.\n"


def commit(new: str = NEW) -> Commit:
    changes = (Change("a.py", OLD.encode(), new.encode()), Change("README.txt", b"", README.encode()))
    return Commit("more", 1, changes)


def applied(found: list[Step]) -> dict[str, str]:
    """The files after all steps."""
    files = {"a.py": OLD, "README.txt": ""}
    for step in found:
        if isinstance(step, Run):
            text = files[step.path]
            files[step.path] = text[: step.start] + step.typed + text[step.start :]
        elif isinstance(step, Edited):
            text = files[step.path]
            files[step.path] = text[: step.start] + step.text + text[step.end :]
        else:
            assert not isinstance(step, Written)
    return files


# ---------------------------------------------------------------- keys


def test_what_was_typed_at_one_place_of_code_is_a_run() -> None:
    found = list(steps([commit()]))
    runs = [each for each in found if isinstance(each, Run)]
    assert [run.path for run in runs] == ["a.py"], "prose is no code: it is there at once"
    assert "".join(key.text for key in runs[0].keys).strip() == ADDED.strip()
    assert any(key.text == "\n    " for key in runs[0].keys), "editors indent the line that they begin"
    assert isinstance(found[0], Opened)
    assert applied(found) == {"a.py": NEW, "README.txt": README}
    assert found == list(steps([commit()])), "the same history gives the same keys with the same pauses"


def test_of_a_long_run_the_end_is_there_at_once() -> None:
    long = NEW + "".join(f"name_{number} = second({number})\n" for number in range(10))
    found = list(steps([commit(long)]))
    run = next(each for each in found if isinstance(each, Run))
    assert len(run.keys) == MOST_KEYS
    assert (run.typed + run.following).strip() == long[len(OLD) :].strip()
    assert run.rest(len(run.keys) - 1) == run.following
    assert applied(found)["a.py"] == long


def test_runs_are_chosen_for_a_time_and_the_rest_comes_at_once() -> None:
    commits = [commit()]
    found = list(steps(commits))
    assert chosen(found, 0.0) == []
    with_run = chosen(found, 1.0)
    assert isinstance(with_run[-1], Run), "what comes behind the last run is of no use"
    again = [each for each in found if isinstance(each, Run)] * 2
    assert len([each for each in chosen(again, again[0].seconds / 2) if isinstance(each, Run)]) >= 1


def test_pauses_scatter_as_peoples_do() -> None:
    drawn = random.Random(0)
    keys = [pause_s(KEY_S, drawn) for _ in range(4000)]
    assert sum(keys) / len(keys) == pytest.approx(MEAN_INTERVAL_S, rel=0.05)
    assert min(keys) >= SHORTEST_S
    thoughts = sorted(pause_s(THOUGHT_S, drawn) for _ in range(1000))
    assert thoughts[500] == pytest.approx(THOUGHT_S, rel=0.1)
    assert max(thoughts) <= LONGEST_S


# ---------------------------------------------------------------- what counts


def played(typed: str, ghosts: list[str | None], after: str = "", **cost: Any) -> Played:
    run = Run("a.py", 0, tuple(Key(char, 0.1) for char in typed), cost.pop("following", ""))
    shown = [None if each is None else Ghost(0.2, each) for each in ghosts]
    return Played(run, "", after, shown, [True] * len(typed), **cost)


def test_keys_along_a_text_on_screen() -> None:
    assert list(keys_inside(played("abcd", ["bcX", "cX", None, "X"]))) == [1, 2]
    assert list(keys_inside(played("ab", ["b", None]))) == [], "the last character of it ends it"


def test_each_token_of_the_final_text_counts_once() -> None:
    assert list(shown_before(played("abcdef", ["bcX", "cd", None, None, "f", None]))) == ["bcd", "f"]
    found = score([played("abcd", ["bcd", "cd", "d", None], tokens=10)], len)
    assert (found.kept_tokens, found.wasted) == (3, 7)


def test_right_is_what_was_typed_next_on_that_line() -> None:
    ghosts = ["b\nother", "X", None]
    found = score([played("ab\n", ghosts, following="c")], len)
    assert found.exact_by_key == (True, False, None)
    assert found.exact == (True, False)
    assert found.similar[0] == 1
    assert found.latencies == (0.2, 0.2)
    assert score([played("ab", [None, "c"])], len).exact == (), "behind the last key nothing is known"


def test_who_shows_nothing_is_waited_for() -> None:
    sparse = played("abcd", [None, "cd", None, None])
    assert waits(sparse) == pytest.approx([0.1 + 0.2, 0.2, 0.1 + 0.1, 0.1])
    assert score([sparse], len).waits == tuple(waits(sparse))


def test_a_key_is_answered_without_the_engine_if_something_is_shown_and_nobody_was_asked() -> None:
    along = played("abcd", ["bcde", "cde", "de", None])
    along.without_engine[1] = False
    found = score([along], len)
    assert (found.inside, found.inside_without_engine) == (3, 1)


@pytest.mark.parametrize(
    ("shown", "after", "rest", "repeats"),
    [
        ("b)\nreturn b", "\nreturn b\n", "b)\n", True),
        ("b)\nreturn b", "\nreturn b\n", "b)\nreturn b\n", False),
        ("b)", "\nx = a\n", "b)", False),
        ("b)\n}", "\n}\n", "b)", False),
        ("= a", "\nx = a\n", "= b", True),
    ],
)
def test_what_stands_behind_the_cursor_is_said_again(
    shown: str, after: str, rest: str, repeats: bool
) -> None:
    assert repeats_suffix("x ", shown, after, rest) is repeats


def test_waits_that_overlap_are_taken_off_once() -> None:
    answered = Answered(10.0, 11.0)
    waits = [(9.0, 10.1), (10.2, 10.5), (10.4, 10.6), (10.9, 12.0), (12.0, 13.0)]
    assert own_time_s(answered, waits) == pytest.approx(1.0 - 0.1 - 0.4 - 0.1)
    assert own_time_s(answered, []) == 1.0


def test_only_the_first_text_for_the_last_key_is_on_screen() -> None:
    screen = Screen(2)
    screen.key(time.monotonic())
    screen.show(0, "  ")
    assert screen.ghosts == [None, None]
    screen.key(time.monotonic())
    screen.show(0, "late")
    screen.show(1, "first")
    screen.show(1, "second")
    assert [each and each.text for each in screen.ghosts] == [None, "first"]


def test_figures_of_what_was_typed() -> None:
    ours = score([played("abcd", ["bcd", "cd", "d", None], tokens=4)], len)
    theirs = score([played("abcd", ["bX", "cd", None, None], tokens=20)], len)
    scores = {"foreword": ours, "llamavim": theirs, "debounced": theirs}
    found = {each.name: each.value for each in trace_figures(scores, "keys")}
    assert found["answered_without_engine"] == 1
    assert found["em_over_llamavim"] == 2
    assert found["em_of_keys_over_llamavim"] == 3
    assert found["em_where_both_over_llamavim"] == 2
    assert found["ghost_over_llamavim_p50"] == found["ghost_over_llamavim_p95"] == 1
    assert (found["foreword_answer_p50_s"], found["foreword_ghost_p95_s"]) == (0.2, 0.2)
    later = score([played("abcd", [None, None, "d", None])], len)
    beside = {each.name: each.value for each in trace_figures({**scores, "llamavim": later}, "keys")}
    assert beside["ghost_over_llamavim_p95"] == pytest.approx(0.2 / (0.1 + 0.1 + 0.2))
    assert found["wasted_over_debounce"] == pytest.approx((4 - 3) / (20 - 3))
    alone = {each.name for each in trace_figures({"foreword": ours}, "keys")}
    assert "em_over_llamavim" not in alone, "what was not measured has no figure"
    silent = score([played("ab", [None, None])], len)
    assert [each.target for each in nothing_shown({"foreword": ours, "llamavim": silent})] == ["llamavim"]


# ---------------------------------------------------------------- llama.vim's method

LINES = ["import os", "", "def first(a):", "    x = a", "    ", "print(first)"]


def test_the_context_around_the_cursor() -> None:
    here = context_at(LINES, 8, 3)
    assert here.prefix == "import os\n\ndef first(a):\n"
    assert (here.middle, here.suffix, here.indent) == ("    x = ", "a\n    \nprint(first)\n", 4)
    blank = context_at(LINES, 4, 4)
    assert (blank.middle, blank.indent) == ("", 0), "a blank line is read from its beginning"
    ahead = context_at(LINES, 9, 3, [" + 1", "    return x"], indent=4)
    assert ahead.prefix.endswith("    x = a + 1\n")
    assert ahead.middle == "    return x"


def test_what_was_answered_is_found_again_by_whoever_types_along() -> None:
    cache = Cache()
    lines = ["total = "]
    cache.add(context_at(lines, 8, 0).places, "value + 1\nprint(total)")
    assert cache.left_at(context_at(lines, 8, 0)) == "value + 1\nprint(total)"
    assert cache.left_at(context_at(["total = val"], 11, 0)) == "ue + 1\nprint(total)"
    assert cache.left_at(context_at(["total = other"], 13, 0)) is None


@pytest.mark.parametrize(
    ("answer", "x", "y", "shown"),
    [
        ("    return x\n", 4, 4, ["return x"]),  # of the indentation only what is missing
        ("print(first)", 0, 4, []),  # the next line over again
        ("\n\n", 9, 3, []),
        (" + 1\n    return x", 9, 3, [" + 1", "    return x"]),
    ],
)
def test_what_is_shown_of_an_answer(answer: str, x: int, y: int, shown: list[str]) -> None:
    lines = list(LINES)
    if answer == "print(first)":
        lines[4] = ""
    assert shown_of(answer, lines, x, y) == shown


def test_the_ring_takes_chunks_one_by_one_and_drops_what_is_like_the_cursor() -> None:
    ring = Ring(random.Random(0))
    first = [f"first_{number} = {number}" for number in range(10)]
    second = [f"other_{number} = {number}" for number in range(10)]
    ring.pick(first[:2], "a.py", evict=True)
    assert not ring.take_one(), "two lines are no chunk"
    for lines in (first, first, second):
        ring.pick(lines, "a.py", evict=True)
    assert [len(ring.queued), ring.take_one(), ring.take_one(), ring.take_one()] == [2, True, True, False]
    ring.make_room(first)
    assert [chunk.lines for chunk in ring.chunks] == [tuple(second)]
    assert likeness(first, first) == 1


class Infill:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.go = asyncio.Semaphore(0)

    async def infill(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.put_nowait(body)
        await self.go.acquire()
        return {"content": "e + 1", "timings": {"predicted_n": 4}}


async def test_while_a_request_is_under_way_the_next_one_waits(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = \n")
    server = Infill()
    vim = LlamaVim(cast("LlamaServer", server), tmp_path)
    run = Run("a.py", 4, (Key("v", 0.1), Key("a", 0.1), Key("l", 0.1)), "")
    screen = Screen(3)
    before, after = await vim.begin(run, screen)
    assert (before, after) == ("x = ", "\n")
    for number, key in enumerate(run.keys):
        screen.key(time.monotonic())
        vim.type(number, key.text)
        await asyncio.sleep(0)
    first = await server.asked.get()
    assert (first["prompt"], server.asked.qsize()) == ("x = v", 0), (
        "nothing is cancelled, and nothing doubled"
    )
    server.go.release()
    second = await server.asked.get()
    assert second["prompt"] == "x = val"
    assert second["t_max_predict_ms"] == 250
    server.go.release()
    server.go.release()
    while screen.ghosts[2] is None:
        await asyncio.sleep(0)
    assert screen.ghosts[2].text == "e + 1"
    result = Played(run, before, after, screen.ghosts, [False] * 3)
    server.go.release()
    await vim.end(result, screen)
    assert result.asked >= 2
    assert result.tokens == 4 * result.asked
    assert not result.without_engine[2]


# ---------------------------------------------------------------- our own sides


class Asked:
    """An editor that writes down what it is asked for."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []

    def open(self, file: Path, text: str, language: str) -> str:
        return file.as_uri()

    def change(self, *_: object) -> None:
        """Nobody looks at the text."""

    async def request_plain(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "foreword/measured":
            blocked = {"seconds": 0.0, "lateS": 0.0, "cpuS": 0.0, "collectedS": 0.0, "stack": []}
            return {"waits": [], "asked": [], "blocked": blocked, "latestS": 0.0}
        place = params["position"]
        self.places.append((place["line"], place["character"]))
        return {"text": "later"}


async def test_who_only_debounces_asks_once_for_keys_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours_side, "DEBOUNCE_S", 0.05)
    editor = Asked()
    side = Debounced(cast("Editor", editor), tmp_path)
    run = Run("a.py", 0, (Key("a", 0.0), Key("b", 0.0), Key("c", 0.0)), "")
    screen = Screen(3)
    await side.begin(run, screen)
    for number, key in enumerate(run.keys):
        screen.key(time.monotonic())
        side.type(number, key.text)
    result = Played(run, "", "", screen.ghosts, [False] * 3)
    await side.end(result, screen)
    assert editor.places == [(0, 3)]
    assert [each and each.text for each in screen.ghosts] == [None, None, "later"]


def test_a_progress_stands_still_while_a_person_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("benchmarks.lsp.opening.time.monotonic", lambda: now)
    watched = Watched()
    for at, value in (
        (1.0, {"kind": "begin", "title": "Foreword", "message": "loading"}),
        (2.0, {"kind": "report", "message": "loading, 2 s"}),
        (3.5, {"kind": "report", "message": "loading, 2 s"}),
        (4.5, {"kind": "report", "message": "loading, 4 s"}),
    ):
        now = at
        watched.told("token", value)
    assert watched.longest_s == 2.5 and watched.seen[0] == "Foreword loading" and len(watched.seen) == 3
    now = 8.0
    watched.ready()
    now = 20.0
    watched.changed()
    assert watched.longest_s == 3.5


def test_the_scripted_engine_says_the_line_that_is_typed() -> None:
    engine = ScriptedEngine("def first():\n    return 1\n\nsecond = 2\n")
    assert engine.next_line("x<|fim_prefix|>def first():\n    ret<|fim_suffix|>y") == "urn 1\n"
    assert engine.next_line("<|fim_prefix|>return 1\n<|fim_suffix|>") == "\nsecond = 2\n"
    assert engine.next_line("<|fim_prefix|>unknown<|fim_suffix|>") == ""


# ---------------------------------------------------------------- the server's own instruments


async def test_the_watchdog_sees_who_blocks_the_loop() -> None:
    dog = Watchdog()
    dog.start()

    def blocks_on_purpose() -> None:
        time.sleep(0.06)

    await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_soon(blocks_on_purpose)
    while dog.worst.seconds < 0.05:
        await asyncio.sleep(0.005)
    dog.stop()
    assert dog.latest_s >= dog.worst.seconds
    assert any("blocks_on_purpose" in line for line in dog.worst.stack)
    dog.reset()
    assert dog.worst.seconds == 0


async def test_a_server_tells_what_is_measured_only_where_that_is_wanted(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "FOREWORD_DEBUG": "1"}
    editor = Editor()
    await editor.start(tmp_path, {"engine": {"kind": "none"}, "index": False}, environment)
    try:
        told = await editor.request_plain("foreword/measured", {})
        assert set(told) == {"waits", "asked", "blocked", "latestS"}
        assert told["asked"] == []
    finally:
        await editor.stop()


# ---------------------------------------------------------------- what cannot be had


async def test_a_server_of_llamacpp_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(llama_server.READY_SERVER, str(tmp_path / "llama-server"))
    with pytest.raises(TargetError, match="which is no file"):
        await llama_server.ensure_server(print)


async def test_without_a_compiler_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = tmp_path / "venv" / "lib" / "python3" / "site-packages" / "lib"
    libraries.mkdir(parents=True)
    (libraries / "libllama-common.so").touch()
    (tmp_path / "venv" / "bin").mkdir()
    (tmp_path / "venv" / "bin" / "python").touch()
    monkeypatch.setenv("FOREWORD_BENCH_LLAMACPP_VENV", str(tmp_path / "venv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(llama_server.READY_SERVER, raising=False)
    with pytest.raises(TargetError, match="no C\\+\\+ compiler"):
        await llama_server.ensure_server(print)


def test_parts_that_there_are_not_are_refused() -> None:
    told = CliRunner().invoke(app, ["bench", "lsp", "--only", "nothing"])
    assert told.exit_code == 2
    assert "overhead, opening, resting, trimmed, trace" in told.output
