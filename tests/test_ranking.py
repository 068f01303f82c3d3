"""What speaks for a candidate of a pack, example by example, and which of two is likelier to be needed."""

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_view import MemoryView

from indexer.messages import Hit
from indexer.names.lexicon import Lexicon
from indexer.names.siblings import Siblings
from indexer.packing.candidates import Gathering
from indexer.packing.evidence import FEATURES, Candidate, Chances, Evidence, told
from indexer.packing.probes import probed
from indexer.packing.surroundings import look_around
from indexer.packing.texts import LineMemory, Texts
from indexer.packing.tokens import EstimatedTokens
from indexer.packing.versions import versions_of
from indexer.packing.weights import NEEDED
from indexer.parsing.languages import language_of
from indexer.parsing.lines import split_lines
from indexer.roots.liveroot import LiveRoot
from indexer.roots.renown import among
from indexer.store.store import Store

FILES = {
    "app/graph.py": (
        "class Graph:\n    def __init__(self, nodes):\n        self.nodes = nodes\n\n"
        '    def add_edge(self, one, other):\n        """Joins two nodes."""\n        self.nodes[one].append(other)\n\n'
        "    def degree_of(self, node):\n        return len(self.nodes[node])\n"
    ),
    "app/paths.py": (
        "from app.graph import Graph\n\n\ndef shortest_path(graph, start, end):\n    return [start, end]\n\n\n"
        "def longest_path(graph):\n    return shortest_path(graph, 0, 1)\n"
    ),
    "app/io/reading.py": (
        "from app.paths import shortest_path\n\n\ndef read_graph(name):\n    return shortest_path(None, 0, 1)\n"
    ),
    "app/io/writing.py": "def write_graph(graph, name):\n    pass\n",
    "lib/other.py": "def shortest_path(a):\n    return a\n\n\ndef unrelated():\n    pass\n",
    "tests/test_paths.py": "def path_of_graph():\n    pass\n",
    "app/__init__.py": "from app.graph import Graph\nfrom app.paths import shortest_path\n",
}


def candidates(marked: str, path: str = "app/main.py", hits: list[Hit] | None = None) -> list[Candidate]:
    """Those at the `▮`, likeliest first."""
    before, _, after = marked.partition("▮")
    text, line = before + after, before.count("\n")
    view = MemoryView({**FILES, path: text})
    lines = split_lines(text)
    around = look_around(lines, line, len(before) - before.rfind("\n") - 1)
    written = probed(lines, line, 0, around, language_of(path))
    found = Gathering(view, path, written, around).with_hits(hits or [])
    return sorted(found, key=lambda one: -Chances(NEEDED).of(one.evidence))


EXAMPLES = [
    pytest.param(
        "from app.graph import Graph\n\n\ndef work():\n    ▮",
        ("Graph", "imported_new", "imported: `Graph` from app/graph.py, not used yet"),
        id="an import that is not used yet",
    ),
    pytest.param(
        "from app.graph import Graph\n\n\ndef work():\n    graph = Graph([])\n    ▮",
        ("add_edge", "member", "`graph` is of `Graph`"),
        id="a member of what was made above",
    ),
    pytest.param(
        "from app.graph import Graph\n\n\ndef work():\n    graph = Graph(▮",
        ("__init__", "maker", "member of imported `Graph`"),
        id="what makes it",
    ),
    pytest.param(
        "import app\n\n\ndef work(graph):\n    # the shortest path through it\n    app.▮",
        ("shortest_path", "module", "imported module: `app.shortest_path` from app/paths.py"),
        id="behind a package that re-exports it, of two that are called so",
    ),
    pytest.param(
        "def work(graph):\n    return longest_path(▮",
        ("longest_path", "named", "named at the cursor: `longest_path`"),
        id="named and not explained",
    ),
    pytest.param(
        "def first(graph):\n    longest_path(graph)\n" + "\n" * 60 + "def work():\n    ▮",
        ("longest_path", "in_file", "used in this file: `longest_path`"),
        id="used far above and not explained",
    ),
    pytest.param(
        'def degree(node):\n    """The degree of a node."""\n    ▮',
        ("degree_of", "lexical", "called like what stands near the cursor: `degree_of`"),
        id="called like what is written about",
    ),
]


@pytest.mark.parametrize(("marked", "wanted"), EXAMPLES)
def test_what_is_needed_is_among_the_likeliest_and_says_why(marked: str, wanted: tuple[str, str, str]):
    name, feature, reason = wanted
    found = candidates(marked)
    place, candidate = next(
        (place, one)
        for place, one in enumerate(found)
        if one.definition is not None and one.definition.name == name and getattr(one.evidence, feature) > 0
    )
    assert place < 4, [(one.definition.name, one.evidence) for one in found[:5] if one.definition]
    assert reason in told(candidate)


def test_what_the_files_beside_this_one_use_counts():
    found = candidates("def next_function():\n    ▮", path="app/io/checking.py")
    used = next(one for one in found if one.path == "app/paths.py" and one.start_line == 3)
    assert used.evidence.sibling > 0.4
    assert not any(one.evidence.sibling for one in found if one.path == "tests/test_paths.py")


def test_the_cursors_own_file_is_never_a_candidate():
    found = candidates("def own():\n    pass\n\n\nown(▮", path="app/paths.py")
    assert "app/paths.py" not in {one.path for one in found}


def test_a_hit_is_its_lines_and_the_definition_that_they_stand_in():
    hits = [Hit("app/graph.py", 5, 6, 1.0, "", "text"), Hit("README", 0, 2, 0.9, "", "text")]
    by_search = [one for one in candidates("x = ▮", hits=hits) if one.evidence.search]
    found = {(one.path, one.definition.name if one.definition else "") for one in by_search}
    assert found == {("app/graph.py", "add_edge"), ("app/graph.py", ""), ("README", "")}


def test_every_feature_that_counts_is_one():
    assert NEEDED.of.keys() <= set(FEATURES)


def test_nothing_that_speaks_for_a_candidate_makes_it_less_likely():
    against = {"private", "test", "method", "constant"}
    plain = Chances(NEEDED).of(Evidence())
    for name in FEATURES:
        changed = Evidence()
        setattr(changed, name, 1.0)
        assert (Chances(NEEDED).of(changed) < plain) == (name in against & NEEDED.of.keys()), name


# ---------------------------------------------------------------- words


def test_names_are_found_by_their_words_rare_ones_first():
    lexicon = Lexicon(["get_user", "get_order", "get_cart", "userName", "unrelated"])
    found = dict(lexicon.like({"get": 1.0, "user": 1.0}, 5))
    assert found["get_user"] == pytest.approx(1.0)
    assert "unrelated" not in found
    assert found["userName"] > found["get_order"], "fewer names have `user`"
    assert lexicon.likeness("get_user", {"get": 1.0, "user": 1.0}) == pytest.approx(found["get_user"])
    assert lexicon.likeness("get_user", {"get": 0.5}) < lexicon.likeness("get_user", {"get": 1.0}) < 1.0


WORDS = st.sampled_from(["get", "user", "order", "cart", "name", "item"])
SAID = st.dictionaries(WORDS, st.sampled_from([0.25, 0.5, 1.0]))


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4).map("_".join), unique=True), SAID, st.integers(1, 9))
def test_the_likest_names_are_those_of_a_plain_count(names: list[str], said: dict[str, float], most: int):
    def rarity(word: str) -> float:
        return math.log(1 + len(names) / sum(word in name.split("_") for name in names))

    def score(name: str) -> float:
        return sum(said.get(word, 0.0) * rarity(word) for word in dict.fromkeys(name.split("_")))

    lexicon = Lexicon(names[:2])
    lexicon.like(said, most)  # what is remembered of it ends when names come
    lexicon.learn(names[2:])
    found = lexicon.like(said, most)
    likeness = {
        name: score(name) / sum(map(rarity, dict.fromkeys(name.split("_")))) for name in names if score(name)
    }
    best = sorted(likeness, key=lambda name: (round(score(name), 9), name), reverse=True)[: 2 * most]
    assert dict(found) == pytest.approx({name: likeness[name] for name, _ in found})
    assert len(found) == min(most, len(best))
    assert sum(like for _, like in found) == pytest.approx(
        sum(sorted((likeness[name] for name in best), reverse=True)[:most])
    )
    assert all(lexicon.likeness(name, said) == pytest.approx(like) for name, like in found)


def test_a_live_root_learns_the_words_of_new_names():
    live = LiveRoot({}, {})
    assert not live.lexicon.like({"fresh": 1.0}, 3)
    live.lexicon.learn(["fresh_name"])
    assert [name for name, _ in live.lexicon.like({"fresh": 1.0}, 3)] == ["fresh_name"]


def test_what_siblings_use_is_remembered_by_content():
    siblings, view = Siblings(), MemoryView(FILES)
    assert siblings.used(view, "app/io/writing.py") == siblings.used(view, "app/io/writing.py")
    assert siblings.used(view, "app/io/writing.py")["shortest_path"] == pytest.approx(1.0)


# ---------------------------------------------------------------- ways to show it


def shown(name: str) -> list[str]:
    view = MemoryView(FILES)
    definition = next(one for one in view.definitions_named(name) if one.path.startswith("app"))
    lines = split_lines(FILES[definition.path])
    candidate = Candidate(
        definition.path, definition.start_line, definition.end_line, definition, Evidence(), {}
    )
    return ["\n".join(lines[start:end]) for start, end in (way.span for way in versions_of(candidate, lines))]


def test_a_definition_is_shown_as_a_line_with_its_documentation_or_whole():
    line, described, whole = shown("add_edge")
    assert line == "    def add_edge(self, one, other):"
    assert described.endswith('"""Joins two nodes."""') and whole.endswith("append(other)")


def test_each_way_holds_the_one_before_and_is_worth_more():
    for name in ("Graph", "add_edge", "shortest_path"):
        ways = shown(name)
        assert all(one in other and one != other for one, other in itertools.pairwise(ways))


def test_lines_are_remembered_by_content_and_never_mixed_up():
    memory = LineMemory()
    assert memory.of("a", lambda: "one\n").lines == ["one"]
    assert memory.of("a", lambda: "another\n").lines == ["one"], "the same key is the same content"
    assert memory.of("", lambda: "x\n").lines == ["x"] and memory.of("", lambda: "y\n").lines == ["y"]


def test_what_is_remembered_of_costs_changes_no_choice():
    class Long(EstimatedTokens):
        def count(self, text: str) -> int:
            return 10 * len(text)

    view, memory, long = MemoryView({"a.py": "value = 1\n" * 9}), LineMemory(), Long(1.0)
    first, second = (Texts(view, long, 1, memory) for _ in range(2))
    roughly = first.roughly("a.py", (0, 5))
    assert first.exact("a.py", (0, 5)) == first.roughly("a.py", (0, 5)) == 500 != roughly
    assert second.roughly("a.py", (0, 5)) == roughly, "as for whoever is the first to ask"
    assert second.exact("a.py", (0, 5)) == 500
    assert Texts(view, EstimatedTokens(3.0), 1, memory).exact("a.py", (0, 5)) == 17
    assert Texts(view, long, 1, memory).exact("a.py", (0, 5)) == 500


# ---------------------------------------------------------------- the store's part


def test_names_are_counted_for_the_contents_of_a_root_alone(tmp_path: Path):
    from indexer.parsing.facts import facts_of
    from indexer.store.contents import ManifestEntry

    def stored(text: str):
        facts = facts_of(text.encode(), "python")
        return facts, store.write([facts])[0]

    store = Store(tmp_path / "store", "test")
    known = [
        stored(f"from lib import shared\n\n\ndef own_{number}():\n    shared()\n") for number in range(3)
    ]
    defining = stored("def shared():\n    pass\n")
    stored("from lib import shared\n\n\ndef elsewhere():\n    shared()\n")
    own = [*known, defining]
    contents = {content.key: content for _, content in own}
    manifest = {
        f"{number}.py": ManifestEntry(facts.key, facts.size, 0) for number, (facts, _) in enumerate(own)
    }
    counted = among(store.names_by_use(set(contents)), LiveRoot(manifest, contents))
    assert counted.counts == {"shared": 3} and list(counted.first) == ["shared"]
