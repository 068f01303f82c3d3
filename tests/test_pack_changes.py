"""Packs while files come and go, the index is being built and documents are typed in: nothing is lost for good, and
nothing is read that need not be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from memory_view import MemoryView

import indexer.roots.liveroot as liveroot
from indexer.connection import Connection
from indexer.graph import Graph
from indexer.history.history import NO_HISTORY
from indexer.messages import Definition, Hit, PackRequest, Segment, TokenizerRef
from indexer.names.lexicon import Lexicon
from indexer.names.siblings import Siblings
from indexer.packing.pack import pack
from indexer.packing.pack_memory import PackKey, PackMemory
from indexer.packing.texts import LineMemory
from indexer.packing.tokens import tokenizer_for
from indexer.parsing.facts import facts_of
from indexer.parsing.tags import Tag
from indexer.roots.definitions import DefinitionMemory
from indexer.roots.live import LiveFiles, LiveRoot, TextCache
from indexer.roots.overlays import OverlayDocument
from indexer.searching.found import named_definitions
from indexer.service import Service
from indexer.store.contents import ManifestEntry, StoredContent
from indexer.store.sitecache import SiteSource
from indexer.store.store import Store


class Repository:
    """A folder with its store, without a service."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder / "work"
        self.store = Store(folder / "store", "test")
        facts = {path: facts_of(text.encode(), "python") for path, text in files.items()}
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        contents = self.store.write(list({one.key: one for one in facts.values()}.values()))
        manifest = {path: ManifestEntry(one.key, one.size, 0) for path, one in facts.items()}
        self.live = LiveRoot(manifest, {content.key: content for content in contents})
        self.memory = PackMemory()

    def view(self, unsaved: Mapping[str, OverlayDocument] | None = None, *, stored: bool = True) -> View:
        """`stored`: whether references are in the store by now."""
        source = self.store if stored else None
        return View(self.folder, self.live, unsaved or {}, TextCache(), lambda path: None, source)

    def packed(self, text: str, view: View, path: str = "main.py") -> list[Segment]:
        """At the end of the text."""
        lines = text.split("\n")
        at = len(lines) - 1, len(lines[-1])
        request = PackRequest(str(self.folder / path), text, *at, 2000, TokenizerRef())
        made = pack(request, view, path, tokenizer_for(request.tokenizer), self.memory)
        return asyncio.run(made).segments


class View(LiveFiles):
    """Search knows only names."""

    graph = Graph()
    history = NO_HISTORY
    ready = True
    repo_name = "work"

    def __init__(
        self,
        root: Path,
        live: LiveRoot,
        overlays: Mapping[str, OverlayDocument],
        cache: TextCache,
        on_stale: Callable[[str], None],
        source: SiteSource | None,
    ) -> None:
        super().__init__(root, live, overlays, cache, on_stale, source)
        self.notes: list[str] = []
        self.listed: list[str] = []

    def definitions_in(self, path: str) -> Sequence[Definition]:
        self.listed.append(path)
        return super().definitions_in(path)

    def used_beside(self, path: str) -> Mapping[str, float]:
        return Siblings().used(self, path)

    def popular(self, most: int) -> Sequence[str]:
        return sorted(self._live.names())[:most]

    def popularity(self, name: str) -> int:
        return 0

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        found = named_definitions(self, query)
        return [Hit(one.path, one.start_line, one.end_line, 1.0, "", "symbol") for one in found][:limit]


# ---------------------------------------------------------------- files that come and go

MONEY = "def rounded(amount):\n    return round(amount, 2)\n"
USING = "from money import rounded\n\nrounded("


def test_a_file_that_cannot_be_read_for_a_moment_is_shown_again(tmp_path: Path):
    repository = Repository(tmp_path, {"money.py": MONEY})
    (repository.folder / "money.py").rename(repository.folder / "away")
    assert repository.packed(USING, repository.view()) == []
    (repository.folder / "away").rename(repository.folder / "money.py")
    assert [one.text for one in repository.packed(USING, repository.view())] == [MONEY]


CLOSE = "    def close(self):\n"
TWO = f"class A:\n{CLOSE}        self.a()\n\n\nclass B:\n{CLOSE}        self.b()\n"

SAME_TEXT = [
    pytest.param("import os\n\n" + TWO, [3, 8], id="moved together"),
    pytest.param(f"class Z:\n{CLOSE}        self.z()\n\n\n{TWO}", [1, 6], id="as they stood"),
    pytest.param(TWO.replace("\n\n\n", "\n\n\nx = 1\n\n\n"), [1, 9], id="moved apart"),
    pytest.param("import os\n\n" + TWO.split("\n\n")[0] + "\n", [3], id="one is gone"),
]


@pytest.mark.parametrize(("new", "places"), SAME_TEXT)
def test_segments_with_the_same_text_keep_places_of_their_own(new: str, places: list[int]):
    memory, key = PackMemory(), PackKey("/project", "main.py", TokenizerRef(), 1, "", 0)
    memory.remember(key, [Segment("x.py", line, line + 1, 9, "retrieved", "", CLOSE, []) for line in (1, 6)])
    kept = memory.still_true(key, MemoryView({"x.py": new}))
    assert [(one.start_line, one.end_line) for one in kept] == [(place, place + 1) for place in places]


def test_lines_are_remembered_up_to_a_size_versions_included():
    memory, text = LineMemory(limit=200_000), "value = 1\n" * 100
    for number in range(100):
        memory.of(f"{number}", lambda: text)
    few = len(memory._known)
    assert 5 < few < 100 and memory._held <= 200_000
    last = memory.of("99", lambda: None)
    last.versions.update({(line, "f"): () for line in range(100)})
    assert memory.of("99", lambda: None) is last
    assert len(memory._known) < few and memory._held <= 200_000
    memory.of("large", lambda: text * 100)
    assert "large" not in memory._known and memory._held <= 200_000


async def test_connections_of_one_service_remember_lines_once(monkeypatch: pytest.MonkeyPatch):
    served: list[Connection] = []

    async def serve(connection: Connection) -> None:
        served.append(connection)

    monkeypatch.setattr(Connection, "serve", serve)
    service = Service()
    async with await asyncio.start_server(service._serve, "127.0.0.1", 0) as server:
        for _ in range(2):
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
        while len(served) < 2:
            await asyncio.sleep(0.01)
        for connection in served:
            connection.hang_up()
    one, other = (connection.pack_memory for connection in served)
    assert one is not other and one.lines is other.lines


# ---------------------------------------------------------------- names


def test_what_has_a_name_that_many_files_define_is_not_read_to_see_that(tmp_path: Path):
    files = {f"lib/m{number}.py": f"def run():\n    return {number}\n" for number in range(30)}
    repository = Repository(tmp_path, files)
    assert repository.packed("def main(job):\n    job.run(", repository.view()) == []
    assert not repository.live._unpacked


def test_definitions_are_told_as_the_text_has_them_now(tmp_path: Path):
    repository = Repository(tmp_path, {"lib/a.py": "def run():\n    return 1\n"})

    def told(view: LiveFiles) -> list[tuple[str, int]]:
        named = view.few_named("run", 3)
        assert named is not None and named == [
            one for one in view.definitions_in("lib/a.py") if one.name == "run"
        ]
        return [(one.name, one.start_line) for one in view.definitions_in("lib/a.py")]

    assert told(repository.view()) == told(repository.view()) == [("run", 0)]
    for typed, definitions in (
        ("\ndef run():\n    return 1\n\n\ndef walk():\n    return 2\n", [("run", 1), ("walk", 5)]),
        ("x = 1\n", [("x", 0)]),
    ):
        assert told(repository.view({"lib/a.py": OverlayDocument("lib/a.py", typed)})) == definitions
    assert told(repository.view()) == [("run", 0)]


def test_few_definitions_are_found_as_files_come_and_go(tmp_path: Path):
    files = {f"lib/m{number}.py": f"def run():\n    return {number}\n" for number in range(4)}
    repository = Repository(tmp_path, files)

    def found(view: LiveFiles, most: int = 8) -> list[str] | None:
        named = view.few_named("run", most)
        return None if named is None else [one.path.removeprefix("lib/").removesuffix(".py") for one in named]

    view = repository.view()
    for _ in range(2):
        assert found(view) == ["m0", "m1", "m2", "m3"] and found(view, 3) is None
        assert found(view.hiding("lib/m2.py"), 3) == ["m0", "m1", "m3"]
    without = OverlayDocument("lib/m1.py", "def walk():\n    return 1\n")
    with_two = OverlayDocument("lib/new.py", "def run():\n    return 1\n\n\ndef run():\n    return 2\n")
    typed = repository.view({"lib/m1.py": without, "lib/new.py": with_two})
    assert found(typed) == ["m0", "m2", "m3", "new", "new"]
    repository.live.update({}, ["lib/m0.py"], ())
    assert found(repository.view()) == ["m1", "m2", "m3"]
    assert found(view) == ["m0", "m1", "m2", "m3"], "a view is of one moment"
    many = {f"lib/n{number}.py": f"def run():\n    return {number + 9}\n" for number in range(30)}
    others = Repository(tmp_path / "many", many)
    assert found(others.view()) is None and len(found(others.view(), 30) or ()) == 30


def test_definitions_that_are_told_are_remembered_up_to_a_number():
    memory, asked = DefinitionMemory(limit=50), list[str]()

    def tags(path: str) -> list[Tag]:
        asked.append(path)
        return [Tag(f"f{number}", "function", number, number + 1, number, 4) for number in range(10)]

    for path in ("a", "b", "a", "c", "d", "e", "a", "f", "b"):
        assert [one.path for one in memory.of(path, "key", lambda path=path: tags(path)).all] == [path] * 10
    assert asked == ["a", "b", "c", "d", "e", "f", "b"], "what was asked for longest ago went"


def test_behind_an_imported_package_one_of_many_is_meant(tmp_path: Path):
    files = {f"lib/m{number}.py": f"class Graph:\n    n = {number}\n" for number in range(20)}
    files["nx/__init__.py"] = "from nx.graph import Graph\n"
    files["nx/graph.py"] = "class Graph:\n    nodes = 1\n"
    repository = Repository(tmp_path, files)
    made = repository.packed("import nx\n\n\ndef a_graph():\n    ", repository.view())
    assert {one.path for one in made} == {"nx/graph.py"}


def test_what_siblings_use_counts_as_soon_as_it_is_defined():
    using = {"p/a.py": "from util import helper\n\nhelper(1)\n"}
    siblings = Siblings()
    assert not siblings.used(MemoryView(using), "p/main.py"), "its file is not read yet"
    whole = MemoryView({**using, "util.py": "def helper(x):\n    return x\n"})
    assert siblings.used(whole, "p/main.py") == {"helper": 1.0}


def test_what_siblings_use_counts_as_soon_as_it_is_stored(tmp_path: Path):
    files = {
        "p/a.py": "from util import helper\n\nhelper(1)\n",
        "util.py": "def helper(x):\n    return x\n",
    }
    repository, siblings = Repository(tmp_path, files), Siblings()
    assert not siblings.used(repository.view(stored=False), "p/main.py")
    assert siblings.used(repository.view(), "p/main.py") == {"helper": 1.0}


def content(key: str, name: str) -> StoredContent:
    return StoredContent(key=key, language="python", size=1, names=f"\n{name}\n")


def test_names_that_come_while_a_lexicon_is_made_are_in_it(monkeypatch: pytest.MonkeyPatch):
    live = LiveRoot({}, {"k1": content("k1", "first_name")})

    class Slow(Lexicon):
        def __init__(self, names: Iterable[str] = ()) -> None:
            super().__init__(names)
            update = threading.Thread(target=live.update, args=({}, (), [content("k2", "second_name")]))
            update.start()
            update.join(5)
            assert not update.is_alive(), "what changes the root waits for nobody who makes a lexicon"

    monkeypatch.setattr(liveroot, "Lexicon", Slow)
    live.lexicon  # noqa: B018 - made here
    live.update({}, (), [content("k3", "third_name")])
    found = live.lexicon.like({"name": 1.0}, 5)
    assert sorted(name for name, _ in found) == ["first_name", "second_name", "third_name"]
    assert len(live.lexicon) == 3, "each once"


def test_several_threads_make_one_lexicon():
    live = LiveRoot({}, {"k": content("k", "\n".join(f"name_{number}" for number in range(2_000)))})
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(getattr, live, "lexicon") for _ in range(8)]
    assert len({id(one.result()) for one in asked}) == 1


# ---------------------------------------------------------------- work that is not done twice


def test_the_document_at_the_cursor_is_not_read_as_an_unsaved_one_too(tmp_path: Path):
    repository = Repository(tmp_path, {"money.py": MONEY, "p/other.py": "def own():\n    rounded(1)\n"})
    text = "def own():\n    pass\n\n\ndef work():\n    own(rounded("
    documents = {path: OverlayDocument(path, text) for path in ("p/main.py", "p/unsaved.py")}
    made = repository.packed(text, repository.view(documents), "p/main.py")
    assert "money.py" in {one.path for one in made}
    assert documents["p/main.py"]._facts is None
    assert documents["p/unsaved.py"]._facts is not None


def test_definitions_of_a_file_are_listed_once_however_many_classes_are_imported(tmp_path: Path):
    count = 12
    models = "".join(f"class Model{n}:\n    def field_{n}(self):\n        pass\n\n\n" for n in range(count))
    repository = Repository(tmp_path, {"models.py": models})
    view = repository.view()
    imported = ", ".join(f"Model{number}" for number in range(count))
    made = repository.packed(f"from models import {imported}\n\nx = Model1()\nx.", view)
    assert "field_1" in "".join(one.text for one in made)
    assert view.listed == ["models.py"]
