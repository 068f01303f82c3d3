"""What the past of a repository and this session tell of its files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import which

import pytest
from index_service import git, repository, write

from indexer.history.branch import Branch, read_branch
from indexer.history.commits import Commit, head, read_log
from indexer.history.edits import NEAR_LINES, REMEMBERED, EditLog, Place, changed_lines
from indexer.history.history import NO_HISTORY, History
from indexer.history.past import LARGE_COMMIT, MOST_TOGETHER, Past
from indexer.parsing.facts import content_key, facts_of
from indexer.roots.live import LiveFiles, LiveRoot, TextCache
from indexer.roots.overlays import OverlayDocument
from indexer.roots.root_history import MOST_SAVED, RootHistory
from indexer.store.contents import ManifestEntry, StoredContent

DAY_S = 86_400
REMOTE = "refs/remotes/origin/main"


def commit(root: Path, message: str, **files: str) -> None:
    for name, text in files.items():
        write(root / f"{name}.py", text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)


def test_commits_are_read_with_their_files(tmp_path):
    root = repository(tmp_path / "r", {"a.py": "1\n", "sub/b c.py": "1\n", "é.py": "1\n"})
    commit(root, "two", a="2\n")
    commit(root, "none")
    read = read_log(root, head(root))[0]
    assert [set(one.paths) for one in read] == [set(), {"a.py"}, {"a.py", "sub/b c.py", "é.py"}]
    assert all(one.time_s > 1_000_000_000 for one in read)
    assert [set(one.paths) for one in read_log(root / "sub", head(root))[0]] == [set(), set(), {"b c.py"}]
    assert len(read_log(root, head(root), most=2)[0]) == 2


@pytest.mark.parametrize("unborn", [True, False])
def test_without_commits_there_is_no_history(tmp_path, unborn):
    if unborn:
        git(tmp_path, "init", "-q")
    assert head(tmp_path) == "" and read_log(tmp_path, "HEAD")[0] == []
    assert read_branch(tmp_path, "").merge_base == ""


def test_programs_of_a_repository_do_not_run(tmp_path):
    root = repository(tmp_path / "r", {"a.py": "1\n", ".gitattributes": "*.py filter=f diff=d\n"})
    trap = f"touch {tmp_path}/ran; cat"
    for name in ("filter.f.clean", "filter.f.smudge", "diff.d.command", "diff.d.textconv", "diff.external"):
        git(root, "config", name, trap)
    for name in ("core.fsmonitor", "gpg.program", "core.pager", "core.hooksPath"):
        git(root, "config", name, trap)
    git(root, "config", "log.showSignature", "true")
    (root / "a.py").write_text("2\n")
    read_log(root, head(root))[0]
    assert read_branch(root, head(root)).changed == {"a.py"}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda root: None, set()),
        (lambda root: (root / "a.py").touch(), set()),
        (lambda root: (root / "a.py").write_text("longer\n"), {"a.py"}),
        (lambda root: (root / "a.py").unlink(), {"a.py"}),
        (lambda root: write(root / "new.py", "1\n"), {"new.py"}),
        (lambda root: write(root / "new.log", "1\n"), set()),
        (lambda root: (write(root / "b.py", "2\n"), git(root, "add", "-A")), {"b.py"}),
        (lambda root: commit(root, "on main", b="2\n"), set()),
        (lambda root: (git(root, "switch", "-qc", "mine"), commit(root, "x", b="2\n")), {"b.py"}),
        (lambda root: (git(root, "branch", "master"), commit(root, "x", b="2\n")), set()),
        (lambda root: (git(root, "update-ref", REMOTE, "HEAD"), commit(root, "x", b="2\n")), {"b.py"}),
        (lambda root: git(root, "checkout", "-q", "--detach"), set()),
    ],
)  # fmt: skip
def test_what_differs_from_the_default_branch(tmp_path, change, changed):
    root = repository(tmp_path / "r", {"a.py": "1\n", "b.py": "1\n", ".gitignore": "*.log\n"})
    change(root)
    found = read_branch(root, head(root))
    assert found.changed == changed and found.merge_base
    assert found.written_s.keys() == {path for path in changed if (root / path).exists()}


def test_the_merge_base_is_what_both_branches_have(tmp_path):
    root = repository(tmp_path / "r", {"a.py": "1\n", "b.py": "1\n"})
    first = head(root)
    git(root, "switch", "-qc", "mine")
    commit(root, "mine", a="2\n")
    git(root, "switch", "-q", "main")
    commit(root, "theirs", b="2\n")
    git(root, "switch", "-q", "mine")
    found = read_branch(root, head(root))
    assert (found.merge_base, found.changed) == (first, {"a.py"})


def test_a_long_history_costs_no_more_than_its_end(tmp_path):
    """The bound is on what git is asked for; that it holds is seen by what comes back."""
    git(tmp_path, "init", "-q", "-b", "main")
    stream = bytearray(b"blob\nmark :1\ndata 2\n1\n")
    for number in range(200_000):
        stream += (
            b"commit refs/heads/main\nauthor A <a@b> %d +0000\ncommitter A <a@b> %d +0000\ndata 1\nm\n"
            % ((number + 10**9,) * 2)
        )
        stream += b"M 100644 :1 f%d.py\n" % (number % 7) if number % 50 == 0 else b""
    subprocess.run(["git", "fast-import", "--quiet"], cwd=tmp_path, input=bytes(stream), check=True)
    read = read_log(tmp_path, head(tmp_path))[0]
    assert len(read) == 2_000 and read[0].time_s == 10**9 + 199_999


# ---------------------------------------------------------------- the past


def commits(*days_and_paths: tuple[int, str]) -> list[Commit]:
    return [Commit((10_000 - days) * DAY_S, tuple(paths.split())) for days, paths in days_and_paths]


def test_what_is_edited_often_and_lately_has_the_higher_rate():
    past = Past(commits((0, "often"), (1, "often"), (2, "once"), (400, "long_ago")))
    rates = [past.rate(path) for path in ("often", "once", "long_ago", "never")]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0 and len(set(rates)) == 4


def test_a_large_commit_says_little_of_each_of_its_files():
    many = " ".join(f"f{number}" for number in range(10 * LARGE_COMMIT))
    past = Past(commits((0, many), (0, "alone")))
    assert past.rate("f1") < past.rate("alone")


def test_what_is_edited_together():
    everything = " ".join(["a", *(f"f{number}" for number in range(MOST_TOGETHER + 1))])
    past = Past(commits((0, "a b"), (1, "a b c"), (2, "a"), (3, everything), (500, "a d")))
    together = past.together("a")
    assert [path for path, _ in together] == ["b", "c", "d"]
    assert all(0 < share < 1 for _, share in together)
    assert past.together("unknown") == []


def test_ages_count_from_the_newest_commit():
    """So that everybody at one commit has the same order."""
    assert Past(commits((0, "a"), (5, "b"))).rate("b") == Past(commits((700, "a"), (705, "b"))).rate("b")


def test_without_commits_times_tell():
    past = Past.of_times({"old": 0.0, "new": 900.0 * DAY_S})
    assert past.rate("new") > past.rate("old") and past.together("new") == []


# ---------------------------------------------------------------- the session


@pytest.mark.parametrize(
    ("before", "after", "span"),
    [
        ("a\nb\nc\n", "a\nb\nc\n", None),
        ("a\nb\nc\n", "a\nX\nc\n", (1, 2, 0)),
        ("a\nb\nc\n", "a\nb\nX\nY\nc\n", (2, 4, 2)),
        ("a\nb\nc\n", "a\nc\n", (1, 2, -1)),
        ("", "a\n", (0, 1, 1)),
        ("a\na\n", "a\na\na\n", (2, 3, 1)),
    ],
)
def test_the_lines_that_changed(before, after, span):
    assert changed_lines(before, after) == span


def test_places_move_with_the_lines_above_them():
    clock = iter(range(100))
    log = EditLog(lambda: next(clock))
    lines = [f"line {number}" for number in range(100)]
    first, second = list(lines), list(lines)
    first[60] = "changed"
    second = ["new", "new", *first]
    log.changed("a", "\n".join(lines), "\n".join(first))
    log.looked("a", 80)
    log.changed("a", "\n".join(first), "\n".join(second))
    assert [(one.start_line, one.end_line) for one in log.edited] == [(0, 2), (62, 63)]
    assert log.viewed[0].start_line == 72
    third = list(second)
    third[62 + NEAR_LINES] = "near"
    log.changed("a", "\n".join(second), "\n".join(third))
    assert [(one.start_line, one.end_line) for one in log.edited] == [(62, 63 + NEAR_LINES), (0, 2)]


def live(root: Path, texts: dict[str, str]) -> LiveRoot:
    for path, text in texts.items():
        write(root / path, text)
    facts = {path: facts_of(text.encode(), "python") for path, text in texts.items()}
    manifest = {path: ManifestEntry(content_key(texts[path].encode(), "python"), 1, 1) for path in texts}
    return LiveRoot(manifest, {one.key: StoredContent(one.key, "python", 1) for one in facts.values()})


def view_of(root: Path, of: LiveRoot, unsaved: dict[str, str], cache: TextCache) -> LiveFiles:
    overlays = {path: OverlayDocument(path, text) for path, text in unsaved.items()}
    return LiveFiles(root, of, overlays, cache, lambda path: None)


async def test_unsaved_and_saved_edits_are_remembered(tmp_path):
    cache, state = TextCache(), live(tmp_path, {"a.py": "x\ny\nz\n", "b.py": "1\n"})
    history = RootHistory(tmp_path, lambda: state, cache)
    before = state.manifest["b.py"].key
    assert history.now(view_of(tmp_path, state, {}, cache)).edited == ()
    view_of(tmp_path, state, {}, cache).text("b.py")
    now = history.now(view_of(tmp_path, state, {"a.py": "x\nY\nz\n"}, cache))
    assert [(one.path, one.start_line, one.end_line) for one in now.edited] == [("a.py", 1, 2)]
    assert now.changed == {"a.py"} and now.rate("a.py") > now.rate("b.py") and now.changed_s("a.py") > 0
    state = live(tmp_path, {"a.py": "x\nY\nz\n", "b.py": "1\n2\n"})
    history.saved({"b.py": before})
    now = history.now(view_of(tmp_path, state, {}, cache))
    assert [one.path for one in now.edited] == ["b.py", "a.py"] and now.changed == {"a.py", "b.py"}
    history.saved(dict.fromkeys(map(str, range(MOST_SAVED + 1)), before))
    assert history.now(view_of(tmp_path, state, {}, cache)).changed == {"a.py", "b.py"}


async def test_many_unsaved_documents_are_not_edited_by_being_looked_at(tmp_path):
    cache, state = TextCache(), live(tmp_path, {"a.py": "x\n"})
    history = RootHistory(tmp_path, lambda: state, cache)
    view = view_of(tmp_path, state, {f"m{number}.py": f"x = {number}\n" for number in range(100)}, cache)
    first = history.now(view).edited
    assert len(first) == REMEMBERED and history.now(view).edited == history.now(view).edited == first
    for number in range(100, 300):
        history.now(view_of(tmp_path, state, {f"m{number}.py": f"x = {number}\n"}, cache))
    assert len(history.now(view_of(tmp_path, state, {}, cache)).changed) <= 100, "what is closed is forgotten"


@pytest.mark.parametrize(
    ("typed", "saved", "then", "changed"),
    [
        ("xy\n", "x\n", None, False),
        ("xy\n", "x\n", "x\n", False),
        ("xy\n", "x\n", "xy\n", True),
        ("xy\n", "xy\n", None, True),
        ("xy\n", "xy\n", "xyz\n", True),
    ],
    ids=["discarded", "undone", "typed", "saved", "saved and typed on"],
)
async def test_what_was_typed_and_discarded_is_no_change(tmp_path, typed, saved, then, changed):
    cache, state = TextCache(), live(tmp_path, {"a.py": "x\n"})
    history = RootHistory(tmp_path, lambda: state, cache)
    assert history.now(view_of(tmp_path, state, {"a.py": typed}, cache)).changed == {"a.py"}
    state = live(tmp_path, {"a.py": saved})
    unsaved = {} if then is None else {"a.py": then}
    view = view_of(tmp_path, state, unsaved, cache)
    assert history.now(view).changed == ({"a.py"} if changed else set())
    history.start()
    await history.settled()
    assert history.now(view).changed == ({"a.py"} if changed and unsaved else set()), (
        "the branch tells the rest"
    )


async def test_what_is_saved_while_it_is_open_is_no_change_once_it_is_committed(tmp_path):
    root = repository(tmp_path / "r", {"a.py": "x\n"})
    cache, state = TextCache(), live(root, {"a.py": "x\n"})
    history = RootHistory(root, lambda: state, cache)
    open_ = view_of(root, state, {"a.py": "xy\n"}, cache).overlays
    assert history.now(LiveFiles(root, state, open_, cache, lambda path: None)).changed == {"a.py"}
    state = live(root, {"a.py": "xy\n"})
    commit(root, "xy")
    history.start()
    await history.settled()
    assert history.now(LiveFiles(root, state, open_, cache, lambda path: None)).changed == frozenset()


def test_the_last_change_of_many_files_is_found_in_one_look_at_the_session():
    class Counted(tuple[Place, ...]):
        looks = 0

        def __iter__(self):
            Counted.looks += 1
            return super().__iter__()

    places = Counted(Place(path, 0, 1, when_s) for path, when_s in (("a", 5.0), ("b", 3.0), ("a", 4.0)))
    history = History(branch=Branch("m", frozenset("abcd"), {"b": 9.0, "c": 2.0}), edited=places)
    assert [history.changed_s(path) for path in "abcd"] == [5.0, 3.0, 2.0, 0.0]
    assert Counted.looks <= 1


async def test_a_past_that_could_not_be_read_is_read_again(tmp_path, monkeypatch):
    root = repository(tmp_path / "r", {"a.py": "1\n", "b.py": "1\n"})
    fails, script = tmp_path / "fails", tmp_path / "bin/git"
    fails.touch()
    write(
        script,
        f'#!/bin/sh\n[ -e {fails} ] && case " $* " in *" log "*) exit 1;; esac\nexec {which("git")} "$@"\n',
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    state = LiveRoot({}, {})
    history = RootHistory(root, lambda: state, TextCache())
    found: list[list[str]] = []
    for _ in range(2):
        history.start()
        await history.settled()
        now = history.now(view_of(root, state, {}, TextCache()))
        found.append([path for path, _ in now.together("a.py")])
        fails.unlink(missing_ok=True)
    assert found == [[], ["b.py"]]


async def test_history_follows_head(tmp_path):
    root = repository(tmp_path / "r", {"a.py": "1\n", "b.py": "1\n"})
    state = LiveRoot({}, {})
    history = RootHistory(root, lambda: state, TextCache())
    nothing = history.now(view_of(root, state, {}, TextCache()))
    assert nothing.merge_base == NO_HISTORY.merge_base and nothing.rate("a.py") == nothing.rate("c.py")
    history.start()
    await history.settled()
    first = history.now(view_of(root, state, {}, TextCache()))
    assert first.merge_base == head(root) and first.rate("a.py") > first.rate("c.py")
    git(root, "switch", "-qc", "mine")
    commit(root, "x", c="1\n")
    history.start()
    await history.settled()
    second = history.now(view_of(root, state, {}, TextCache()))
    assert (second.merge_base, second.changed) == (first.merge_base, {"c.py"})
    assert second.rate("c.py") > first.rate("c.py")


async def test_without_a_repository_the_times_of_files_tell(tmp_path):
    state = live(tmp_path, {"old.py": "x\n", "new.py": "y\n"})
    manifest = {
        path: ManifestEntry(entry.key, 1, (1 if path == "old.py" else 400 * DAY_S) * 10**9)
        for path, entry in state.manifest.items()
    }
    state.update(manifest, (), ())
    history = RootHistory(tmp_path, lambda: state, TextCache())
    history.start()
    await history.settled()
    now = history.now(view_of(tmp_path, state, {}, TextCache()))
    assert now.rate("new.py") > now.rate("old.py") and now.merge_base == "" and now.changed == frozenset()
