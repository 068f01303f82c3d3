"""The repositories that the index benchmark reads: networkx as it is, as a git repository with branches, made ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from benchmarks.archives import NETWORKX, unpack
from benchmarks.index import made
from benchmarks.index.saving import word
from benchmarks.targets import TargetError

GIT_TIMEOUT_S = 120.0
QUICK_FILES = 60
BRANCHES_FROM = 1_000_000
"""Their names are words of their own, and so are those of as many saves."""
SECOND_COPY = "next_release"
"""networkx has 650 Python files: a second copy, no file of which is the same, makes up to 1,300 that can change."""
SAVED = "networkx/classes/graph.py"
"""70 KB: the largest class of the repository."""


class Symbol(msgspec.Struct, frozen=True):
    """One definition that is known to be there."""

    name: str
    path: str


class Subject(msgspec.Struct, frozen=True):
    """The repository that most figures are about, and what is known to be in it."""

    name: str
    folder: Path
    package: str
    """The folder below it that holds the code."""
    symbols: tuple[Symbol, ...]
    """From early, middle and late in any order of files: one for each run, over and over."""
    saved: str
    """The file that is saved again and again."""
    questions: tuple[str, ...]


SYMBOLS = (
    Symbol("to_numpy_array", "networkx/convert_matrix.py"),
    Symbol("Graph", "networkx/classes/graph.py"),
    Symbol("write_graphml_lxml", "networkx/readwrite/graphml.py"),
    Symbol("pagerank", "networkx/algorithms/link_analysis/pagerank_alg.py"),
    Symbol("spring_layout", "networkx/drawing/layout.py"),
)
QUESTIONS = (
    "shortest path between two nodes",
    "where is the adjacency matrix made",
    "read a graph from graphml",
    "bipartite matching maximum",
    "random graph with a given degree sequence",
    "draw nodes on a circle",
    "pagerank personalization dangling nodes",
    "minimum spanning tree kruskal",
    "detect communities by modularity",
    "planarity check embedding",
    "relabel nodes in place",
    "is_isomorphic",
    "topological sort of a directed acyclic graph",
    "to_numpy_array",
    "flow network residual capacity",
    "weakly connected components",
    "clustering coefficient triangles",
    "node_link_data json",
    "subgraph view filter",
    "traveling salesman christofides",
)
"""Words, names and sentences, as people ask."""
MADE_QUESTIONS = (
    "sealed signal of a voucher",
    "reserve the partition",
    "waits for the tenant",
    "oldest ledger",
)


def networkx(folder: Path) -> Subject:
    """networkx 3.4.2 from its source distribution, committed where git is here. Raises ArchiveError, TargetError."""
    repository = unpack(NETWORKX, folder)
    if has_git():
        committed(repository, "networkx as released")
    return Subject(NETWORKX.name, repository, "networkx", SYMBOLS, SAVED, QUESTIONS)


def small(folder: Path) -> Subject:
    """A made repository that is indexed in a second, for a run that only shows that everything works."""
    repository = folder / "small"
    made.write(repository / "code", QUICK_FILES)
    known = [made.identity(made.SEED, number) for number in range(QUICK_FILES)]
    python = [each for each in known if each.path.endswith(".py")]
    symbols = tuple(Symbol(each.type, f"code/{each.path}") for each in python[:2])
    if has_git():
        committed(repository, "made")
    return Subject("a small made repository", repository, "code", symbols, symbols[0].path, MADE_QUESTIONS)


def has_git() -> bool:
    return shutil.which("git") is not None


def committed(repository: Path, message: str) -> None:
    """Everything below `repository` as the next commit of its git repository, made where there is none."""
    if not (repository / ".git").exists():
        git(repository, "init", "--quiet", "--initial-branch", "main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--no-verify", "--message", message)


def git(repository: Path, *arguments: str) -> None:
    """One git command that reads nobody's settings. Raises TargetError."""
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()},
    }
    command = ["git", "-c", "gc.auto=0", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=repository,
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise TargetError(f"git {arguments[0]}: {failed}") from failed
    if done.returncode != 0:
        raise TargetError(f"git {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")


_WHO = {"NAME": "Benchmark", "EMAIL": "benchmark@example.org", "DATE": "2026-01-01T00:00:00+00:00"}


def python_files(repository: Path) -> list[Path]:
    """All of them, in the order of their paths."""
    return sorted(path for path in repository.rglob("*.py") if ".git" not in path.parts)


class Branches(msgspec.Struct, frozen=True):
    """A git repository whose branches differ from `main` in `changed` files each."""

    repository: Path
    names: tuple[str, ...]
    changed: int


def with_branches(subject: Subject, folder: Path, changed: int, count: int) -> Branches:
    """A repository made from the subject. On branch `name`, `changed` files define `<name>_marker` and say
    `<name>doc`, and nothing else differs. Raises TargetError."""
    repository = folder / "switched"
    shutil.copytree(subject.folder, repository, ignore=shutil.ignore_patterns(".git"))
    for path in python_files(repository / subject.package):
        second = repository / SECOND_COPY / path.relative_to(repository / subject.package)
        second.parent.mkdir(parents=True, exist_ok=True)
        second.write_bytes(b"# of the next release\n" + path.read_bytes())
    committed(repository, "main")
    files = python_files(repository)[:changed]
    if len(files) < changed:
        raise TargetError(f"{subject.name} has only {len(files)} Python files to change, not {changed}")
    names = tuple(word(BRANCHES_FROM + number) for number in range(count))
    for name in names:
        git(repository, "checkout", "--quiet", "-b", name, "main")
        for number, path in enumerate(files):
            with path.open("a", encoding="utf-8") as file:
                file.write(f'\n\ndef {name}_marker():\n    """The {name}doc number {number}."""\n')
        committed(repository, name)
    git(repository, "checkout", "--quiet", "main")
    return Branches(repository, names, len(files))
