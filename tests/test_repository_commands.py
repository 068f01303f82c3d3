"""`foreword index` and `foreword search` as a person reads them: counts and reasons, places and lines that tell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import BarColumn

from lsp.commands.repository import _shown, _telling
from lsp.terminal import LEAST_BAR, LONGEST_BAR, ROOM_FOR_BAR, ROOM_FOR_RATES, _columns

FOREWORD = str(Path(sys.executable).with_name("foreword"))
PRICES = '''\
"""What things cost."""


def net_price(gross, group):
    """The price after the discount of this group."""
    rate = DISCOUNTS[group]
    return gross * (1 - rate)


DISCOUNTS = {"retail": 0.0, "dealer": 0.2}
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "run").mkdir(mode=0o700)
    own = {"XDG_RUNTIME_DIR": str(folder / "run"), "XDG_CACHE_HOME": str(folder / "cache")}
    return {
        **os.environ,
        **own,
        "FOREWORD_EMBEDDER": "none",
        "FOREWORD_SERVICE_IDLE_S": "3",
        "COLUMNS": "100",
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "prices.py").write_text(PRICES)
    (folder / "[odd] name.py").write_text("def odd_one():\n    pass\n")
    (folder / "large.py").write_text("x = 1\n" * 300_000)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (folder / ".env").write_text("KEY=value\n")
    return folder


def foreword(home: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOREWORD, *arguments], env=home, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_index_tells_what_it_has_and_what_not(home: dict[str, str], root: Path) -> None:
    ended = foreword(home, "index", str(root))
    assert ended.returncode == 0, ended.stderr
    rows = dict(re.findall(r"^(\w+) +(\S.*?) *$", ended.stdout, re.MULTILINE))
    assert {"files", "symbols", "references", "chunks", "vectors", "seconds", "store"} <= set(rows)
    assert (rows["files"], rows["symbols"], rows["vectors"]) == ("2", "3", "0")
    assert re.fullmatch(r"\d+\.\d\d  \d+ B at .+/s", rows["seconds"])
    skipped = [
        line.rstrip().split(maxsplit=2)[1:]
        for line in ended.stdout.splitlines()
        if line.startswith("skipped")
    ]
    assert ["1", "larger than 1 MB  large.py"] in skipped
    assert all(count.isdecimal() and reason for count, reason in skipped)


def test_the_same_as_json(home: dict[str, str], root: Path) -> None:
    ended = foreword(home, "index", str(root), "--json")
    document = json.loads(ended.stdout)
    assert (document["state"], document["files"], document["symbols"]) == ("ready", 2, 3)
    assert document["store_bytes"] > 0 and Path(document["store"]).is_relative_to(home["XDG_CACHE_HOME"])
    assert {"skipped", "redacted", "seconds", "source_bytes"} <= set(document)


def test_waiting_for_vectors_tells_how_long_that_took(home: dict[str, str], root: Path) -> None:
    """Not the time of the pass over the files alone, which is over before the first vector."""
    document = json.loads(foreword(home, "index", str(root), "--vectors", "--json").stdout)
    assert document["seconds_with_vectors"] >= document["seconds"] > 0
    shown = foreword(home, "index", str(root), "--vectors").stdout
    assert re.search(r"^ +\d+\.\d\d  until every chunk had its vector", shown, re.MULTILINE)
    assert "seconds_with_vectors" not in foreword(home, "index", str(root), "--json").stdout


def test_a_search_shows_places_and_the_lines_that_tell(home: dict[str, str], root: Path) -> None:
    ended = foreword(home, "search", "net_price", "--dir", str(root), "--limit", "1")
    assert ended.returncode == 0, ended.stderr
    head, first, *more = ended.stdout.splitlines()
    assert head.startswith("prices.py:4-7  ") and "symbol" in head
    assert first == "     4  def net_price(gross, group):"
    assert all(re.match(r" +\d+  ", line) for line in more)
    assert "FOREWORD_EMBEDDER" in ended.stderr, "what was not asked is told"


def test_names_with_brackets_are_no_markup(home: dict[str, str], root: Path) -> None:
    ended = foreword(home, "search", "odd_one", "--dir", str(root))
    assert ended.stdout.startswith("[odd] name.py:1-2  ")


def test_search_as_json(home: dict[str, str], root: Path) -> None:
    found = json.loads(foreword(home, "search", "discount", "--dir", str(root), "--json").stdout)
    assert found["hits"] and set(found["hits"][0]) >= {
        "path",
        "start_line",
        "end_line",
        "score",
        "text",
        "why",
    }


def test_nothing_found_is_an_exit_code_of_its_own(home: dict[str, str], root: Path) -> None:
    ended = foreword(home, "search", "qqzzqqzz", "--dir", str(root))
    assert (ended.returncode, ended.stdout) == (3, "") and "nothing in" in ended.stderr


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("def a():\n    pass\n", "zz", [0]),
        ("def a():\n    x\n    price\n    y\n    price of\n", "price of", [0, 2, 4]),
        ("\n\nfirst\nsecond\n", "zzz", [2]),
        ("head\none\ntwo\none two\nthree\none two three\n", "one two three", [0, 3, 5]),
        ("a.b(\n  c[1]*\n", "c[1]*", [0, 1]),
    ],
)
def test_lines_that_tell(text: str, query: str, expected: list[int]) -> None:
    assert [at for at, _ in _shown(text, _telling(query))] == expected


@pytest.mark.parametrize(
    ("width", "columns", "bar"),
    [
        (30, 3, None),
        (ROOM_FOR_RATES, 5, None),
        (ROOM_FOR_BAR, 6, LEAST_BAR),
        (300, 6, LONGEST_BAR),
    ],
)
def test_a_bar_has_what_its_terminal_has_room_for(width: int, columns: int, bar: int | None) -> None:
    made = _columns(width)
    bars = [each.bar_width for each in made if isinstance(each, BarColumn)]
    assert (len(made), bars) == (columns, [] if bar is None else [bar])
