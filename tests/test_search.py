"""Search: words of code, names, vectors, and only what lives in the root that was asked."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import keeper, search
from indexer.embedding.embedding import EmbeddingUnavailable
from indexer.parsing.facts import facts_of
from indexer.parsing.tags import Tag, by_place
from indexer.parsing.words import words
from indexer.roots import overlays
from indexer.roots.live import LiveFiles, LiveRoot, TextCache
from indexer.roots.overlays import OverlayDocument
from indexer.search import Searcher
from indexer.searching import ranking
from indexer.searching.found import _definition_at
from indexer.store.contents import ManifestEntry
from indexer.store.rows import pack
from indexer.store.schema import VECTOR_DIMENSIONS
from indexer.store.store import Store
from indexer.store.upkeep import index_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("getUserName", "getusername get user name"),
        ("get_user_name", "getusername get user name"),
        ("HTTPServer2", "httpserver2 http server 2"),
        ("__init__", "init"),
        ("a.b(c)", "a b c"),
        ("größe_in_mm", "größeinmm größe in mm"),
        ("x" * 41, ""),
        ("", ""),
    ],
)
def test_words(text, expected):
    assert " ".join(words(text)) == expected


SOURCES = {
    "cache.py": "def evict_least_recently_used(cache):\n    cache.popitem(last=False)\n",
    "http/client.ts": "export function fetchWithRetry(url: string) {\n  return fetch(url);\n}\n",
    "path.py": "def path():\n    pass\n",
    "guide.md": "# Installation\n\nUnpack the archive.\n",
}


@pytest.fixture
def root(tmp_path):
    return _Root(tmp_path, SOURCES)


class _Root:
    """A root with its store, without a service."""

    def __init__(self, tmp_path, sources, store=None):
        self.folder = tmp_path / "work"
        self.store = store or Store(tmp_path / "store", "test")
        languages = {"py": "python", "ts": "typescript", "md": "markdown"}
        self.facts = {}
        for path, text in sources.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
            self.facts[path] = facts_of(text.encode(), languages[path.rpartition(".")[2]])
        contents = self.store.write(list(self.facts.values()))
        index_text(self.store)
        self.stale: list[str] = []
        manifest = {path: ManifestEntry(facts.key, facts.size, 0) for path, facts in self.facts.items()}
        self.live = LiveRoot(manifest, {content.key: content for content in contents})

    def files(self, overlays=None) -> LiveFiles:
        documents = {path: OverlayDocument(path, text) for path, text in (overlays or {}).items()}
        return LiveFiles(self.folder, self.live, documents, TextCache(), self.stale.append)

    async def search(self, query, limit=5, overlays=None, vector=None):
        async def ask(_text):
            if vector is None:
                raise EmbeddingUnavailable("no vectors in this test")
            return vector

        return await Searcher(self.store).search(self.files(overlays), query, limit, ask)

    def embed(self, directions: dict[str, int]):
        """Each file's chunks point in one of the directions."""
        for path, direction in directions.items():
            self.store.write_vectors({key: _direction(direction) for key in self.facts[path].text_keys})


def _direction(number: int) -> list[float]:
    return [1.0 if place == number else 0.0 for place in range(VECTOR_DIMENSIONS)]


@pytest.mark.parametrize(
    ("query", "path", "why"),
    [
        ("evict least recently used", "cache.py", "text"),
        ("evict_least_recently_used", "cache.py", "symbol+text"),
        ("fetchWithRetry", "http/client.ts", "symbol+text"),
        ("retrying a fetch", "http/client.ts", "text"),
        ("unpacking archives", "guide.md", "text"),
        ("path", "path.py", "symbol+text"),
    ],
)
async def test_finds(root, query, path, why):
    hits = (await root.search(query)).hits
    assert (hits[0].path, hits[0].why) == (path, why)
    assert hits[0].text.strip() in SOURCES[path]


@pytest.mark.parametrize(
    "query", ["", "   ", "\0", '"(((" AND NOT *:?', "'; DROP TABLE chunks", "ß" * 10_000]
)
async def test_odd_questions_have_no_answer_and_do_no_harm(root, query):
    assert len((await root.search(query)).hits) <= 5


async def test_vectors_find_what_words_do_not(root):
    root.embed({path: number for number, path in enumerate(SOURCES)})
    answer = await root.search("dropping old entries", vector=_direction(0))
    assert (answer.hits[0].path, answer.hits[0].why, answer.note) == ("cache.py", "vector", "")


async def test_the_answer_says_when_vectors_are_not_whole(root):
    root.embed({"cache.py": 0, "path.py": 1})
    answer = await root.search("dropping old entries", vector=_direction(0))
    assert (answer.hits[0].path, answer.note) == ("cache.py", "vectors: 2 of 4 chunks embedded")


async def test_what_is_far_from_a_question_without_sense_is_no_answer(root):
    root.embed({"cache.py": 0, "path.py": 1})
    near = [0.99, 0.1, *[0.0] * (VECTOR_DIMENSIONS - 2)]
    assert [hit.path for hit in (await root.search("zzzqqq", vector=near)).hits] == ["cache.py"]
    assert (await root.search("zzzqqq", vector=_direction(2))).hits == []


async def test_vectors_weigh_more_than_words(root):
    root.embed({"cache.py": 0})
    hits = (await root.search("archive", vector=_direction(0))).hits
    assert [hit.path for hit in hits][:2] == ["cache.py", "guide.md"]
    assert all(math.isfinite(hit.score) for hit in hits)


async def test_without_an_embedder_the_answer_says_so(root):
    assert "no vectors in this test" in (await root.search("archive")).note


async def test_unsaved_text_takes_the_place_of_what_is_stored(root):
    overlays = {"cache.py": "def brand_new_name():\n    pass\n"}
    assert not (await root.search("evict_least_recently_used", overlays=overlays)).hits
    hits = (await root.search("brand_new_name", overlays=overlays)).hits
    assert (hits[0].path, hits[0].text) == ("cache.py", "def brand_new_name():\n    pass\n")


async def test_other_roots_in_the_store_do_not_crowd_this_one_out(root):
    for number in range(300):
        root.store.write([facts_of(f"def archive_{number}():\n    archive()\n".encode(), "python")])
    index_text(root.store)
    assert "guide.md" in [hit.path for hit in (await root.search("archive", limit=1)).hits]


async def test_a_root_too_large_to_be_named_reads_only_so_deep(root, monkeypatch):
    monkeypatch.setattr(search, "_FILTERED_KEYS", 0)
    for first in range(0, 3_000, 500):
        texts = [f"def archive_{number}():\n    archive()\n" for number in range(first, first + 500)]
        root.store.write([facts_of(text.encode(), "python") for text in texts])
    index_text(root.store)
    assert not (await root.search("archive", limit=1)).hits  # 3,000 better rows stand before it
    monkeypatch.undo()
    assert [hit.path for hit in (await root.search("archive", limit=1)).hits] == ["guide.md"]


async def test_vectors_of_other_roots_do_not_crowd_this_one_out(root):
    root.embed({"cache.py": 0})
    near = [0.999, *_direction(0)[1:]]
    other = [facts_of(f"def other_{number}():\n    pass\n".encode(), "python") for number in range(300)]
    root.store.write(other)
    root.store.write_vectors({key: near for facts in other for key in facts.text_keys})
    hits = (await root.search("something else", vector=near, limit=1)).hits
    assert [hit.path for hit in hits] == ["cache.py"]


async def test_one_content_at_two_paths_is_one_hit(root):
    key = root.facts["path.py"].key
    root.live.update({"copy.py": ManifestEntry(key, 1, 1)}, [], [])
    hits = (await root.search("pass")).hits
    assert len([hit for hit in hits if hit.path in ("copy.py", "path.py")]) == 1


def test_text_that_changed_behind_the_index_is_not_shown(root):
    assert root.files().text("path.py") == SOURCES["path.py"]
    (root.folder / "path.py").write_text("def other():\n    pass\n")
    assert root.files().text("path.py") is None
    (root.folder / "guide.md").unlink()
    assert root.files().text("guide.md") is None
    assert root.stale == ["path.py", "guide.md"]


def test_the_paths_of_a_root_are_indexed_once(root):
    first = root.files().files()
    assert set(first) == set(SOURCES)
    assert root.files({"cache.py": "x = 1\n"}).files() is first
    root.live.update({"cache.py": ManifestEntry(root.facts["path.py"].key, 1, 1)}, [], [])
    assert root.files().files() is first, "another content at the same path changes no path"
    with_new = root.files({"new.py": "x = 1\n"}).files()
    assert set(with_new) == {*SOURCES, "new.py"}
    assert root.files({"new.py": "x = 2\n"}).files() is with_new
    root.live.update({}, ["cache.py"], [])
    assert set(root.files().files()) == SOURCES.keys() - {"cache.py"}


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("purple elephants archive the moon", []),  # one stray word of four
        ("unpack purple elephants archive", ["guide.md"]),
        ("archive", ["guide.md"]),
        ("zzzqqq", []),
        ("fetch_with_elephants", ["http/client.ts"]),  # half of it
        ("what is the path of this", ["path.py"]),
    ],
)
async def test_a_question_without_sense_has_no_answer(root, query, paths):
    assert [hit.path for hit in (await root.search(query)).hits] == paths


async def test_what_is_not_on_disk_yet_is_found(root):
    text = "def brand_new_archive():\n    pass\n"
    (root.folder / "new.py").write_text(text)
    rows = pack(facts_of(text.encode(), "python"))
    entry = ManifestEntry(rows.key, len(text), 0)
    root.store.put(str(root.folder), {"new.py": entry}, (), [rows])
    root.live.update({"new.py": entry}, [], [rows.content])
    assert (await root.search("brand new archive")).hits[0].path == "new.py"


SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


async def test_a_secret_is_in_no_hit_and_leads_to_none(tmp_path):
    source = f'def connect_to_server():\n    token = "{SECRET}"\n    return open_session(token)\n'
    root = _Root(tmp_path, {"client.py": source})
    root.embed({"client.py": 0})
    for query in (SECRET, SECRET.lower(), "connect to server", "connect_to_server", "session"):
        for vector in (None, _direction(0)):
            hits = (await root.search(query, vector=vector)).hits
            assert all(SECRET not in hit.text for hit in hits)
            assert not hits or query not in (SECRET, SECRET.lower()) or vector is not None
    stored = root.store.chunk_texts(root.facts["client.py"].text_keys)
    assert SECRET not in "".join(stored.values())


async def test_each_hit_says_why_and_the_best_has_every_reason(root):
    root.embed({"cache.py": 0, "path.py": 1, "guide.md": 2})
    near = [0.9, 0.3, 0.3, *[0.0] * (VECTOR_DIMENSIONS - 3)]
    hits = (await root.search("evict_least_recently_used", vector=near)).hits
    assert [hit.why for hit in hits] == ["symbol+vector+text", "vector", "vector"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_two_roots_in_one_store_have_their_own_answers(root, tmp_path):
    root.embed({"cache.py": 0})
    other = _Root(tmp_path / "other", {"other.py": "def evict_cache():\n    pass\n"}, root.store)
    other.embed({"other.py": 0})
    for searched, path in ((root, "cache.py"), (other, "other.py")):
        hits = (await searched.search("evict cache", vector=_direction(0))).hits
        assert [hit.path for hit in hits] == [path]


async def test_memory_holds_the_vectors_of_roots_that_are_searched(root, tmp_path):
    sources = {f"m{number}.py": f"def other_{number}():\n    pass\n" for number in range(9)}
    other = _Root(tmp_path / "other", sources, root.store)
    root.embed({path: 0 for path in SOURCES})
    other.embed({path: number for number, path in enumerate(sources)})
    root.store.close()
    store = root.store = other.store = Store(tmp_path / "store", "test")
    table = store.vector_tables.wanted
    assert table.in_memory is None

    async def found(searched, direction):
        hits = (await searched.search("zzzqqq", vector=_direction(direction), limit=1)).hits
        return [hit.path for hit in hits]

    assert (await found(root, 0), len(table.in_memory)) == (["cache.py"], len(SOURCES))
    assert (await found(other, 7), len(table.in_memory)) == (["m7.py"], len(SOURCES) + len(sources))
    store.vector_tables.let_go([*root.live.living_contents(), *other.live.living_contents()])
    assert len(table.in_memory) == len(SOURCES) + len(sources)
    keeper._tidy(store, [str(root.folder)], root.live.living_contents())  # the other one is closed
    assert (await found(root, 0), len(table.in_memory)) == (["cache.py"], len(SOURCES))
    assert (await found(other, 7), len(table.in_memory)) == (["m7.py"], len(SOURCES) + len(sources))
    store.vector_tables.let_go([])
    assert table.in_memory is None
    root.embed({"cache.py": 0})  # known, and not written again
    (root.folder / "new.py").write_text("def brand_new():\n    pass\n")
    (new,) = store.write([facts_of(b"def brand_new():\n    pass\n", "python")])
    store.write_vectors({key: _direction(9) for key in new.hex_text_keys()})
    root.live.update({"new.py": ManifestEntry(new.key, new.size, 1)}, [], [new])
    assert await found(root, 9) == ["new.py"] and await found(root, 0) == ["cache.py"]
    store.close()


async def test_vectors_of_another_length_answer_too(tmp_path):
    root = _Root(tmp_path, SOURCES)
    root.store.want_vectors("wide", 3)
    key = root.facts["cache.py"].text_keys[0]
    root.store.write_vectors({key: [0.0, 1.0, 0.0]})
    hits = (await root.search("dropping old entries", vector=[0.0, 1.0, 0.0])).hits
    assert [(hit.path, hit.why) for hit in hits] == [("cache.py", "vector")]


@pytest.mark.parametrize(
    ("query", "name", "shares"),
    [
        ("all pairs of shortest paths", "all_pairs_shortest_path", (1.0, 4 / 5)),
        ("computing distances", "compute_distance", (1.0, 1.0)),
        ("distance", "compute_distance", (0.5, 1.0)),
        ("how is the distance between two nodes computed here", "compute_distance", (1.0, 2 / 6)),
        ("", "compute_distance", (0.0, 0.0)),
        ("distance", "", (0.0, 0.0)),
    ],
)
def test_words_that_a_name_and_a_question_share(query, name, shares):
    assert ranking.Words(query).share_of(ranking.stems_of(name)) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("path", "query", "aside"),
    [
        ("tests/test_cache.py", "evict", True),
        ("tests/test_cache.py", "test of evict", False),
        ("src/cache.py", "evict", False),
        ("docs/CHANGELOG.rst", "evict", True),
        ("src/contest.py", "evict", False),
    ],
)
def test_tests_and_documents_stand_back_unless_asked_for(path, query, aside):
    assert ranking.is_aside(ranking.stems_of(path), ranking.Words(query)) == aside


def test_whether_an_unsaved_text_may_be_read_is_known_without_its_facts(monkeypatch):
    monkeypatch.setattr(overlays, "facts_of_text", lambda text, language: pytest.fail("parsed"))
    assert not OverlayDocument("a.py", "x = 1\n").why_excluded()
    assert OverlayDocument("a.py", "x = 1\0\n").why_excluded() == "binary"


spans = st.tuples(st.integers(0, 12), st.integers(1, 6))


@given(st.lists(spans, max_size=8), spans)
def test_a_chunk_belongs_to_what_it_begins_or_else_to_what_is_around_it(there, chunk):
    tags = by_place(
        Tag(f"f{number}", "function", start, start + length, start, 4)
        for number, (start, length) in enumerate(there)
    )
    start, end = chunk[0], chunk[0] + chunk[1]
    begun = [tag for tag in tags if start <= tag.start_line < end]
    around = [tag for tag in tags if tag.start_line < start < tag.end_line]
    assert _definition_at(tags, start, end) == (begun[0] if begun else around[-1] if around else None)
