"""The graph keeps what it has worked out, exactly as long as that is true."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_view import MemoryView

from indexer.graph import Graph
from indexer.modules.meanings import Modules
from indexer.modules.offers import Offers
from indexer.names.memos import Memos, Question
from indexer.names.values import Names

# ---------------------------------------------------------------- memos alone


class Sheet:
    """Cells that add up others, like `a=b+c`; a cell without a formula is a number."""

    def __init__(self, cells: dict[str, str]) -> None:
        self.cells = cells
        self.memos = Memos()
        self.worked_out: Counter[str] = Counter()
        self.text = Question(self.memos, self._text, outside=True)
        self.value = Question(self.memos, self._value, in_cycle=lambda: 0)
        self.is_even = Question(self.memos, self._is_even)

    def _text(self, name: str) -> str:
        return self.cells.get(name, "0")

    def _value(self, name: str) -> int:
        self.worked_out[name] += 1
        return sum(int(part) if part.isdigit() else self.value(part) for part in self.text(name).split("+"))

    def _is_even(self, name: str) -> bool:
        self.worked_out[f"even {name}"] += 1
        return self.value(name) % 2 == 0

    def set(self, **cells: str) -> None:
        self.cells = {**self.cells, **cells}
        self.memos.advance()


def test_only_what_depends_on_a_change_is_worked_out_again() -> None:
    sheet = Sheet({"a": "b+c", "b": "1", "c": "d", "d": "2", "x": "5"})
    assert (sheet.value("a"), sheet.value("x")) == (3, 5)
    sheet.set(d="4")
    assert (sheet.value("a"), sheet.value("x")) == (5, 5)
    assert sheet.worked_out == {"a": 2, "b": 1, "c": 2, "d": 2, "x": 1}


def test_an_answer_that_stays_the_same_ends_the_work() -> None:
    sheet = Sheet({"a": "b", "b": "1+1"})
    assert sheet.is_even("a")
    sheet.set(b="2")
    assert sheet.is_even("a") and sheet.worked_out == {"a": 1, "b": 2, "even a": 1}


def test_nothing_is_worked_out_again_without_a_change() -> None:
    sheet = Sheet({"a": "b", "b": "1"})
    for _ in range(3):
        sheet.value("a")
    sheet.set()
    sheet.value("a")
    assert sheet.worked_out == {"a": 1, "b": 1}


def test_a_circle_ends_and_what_is_in_it_is_not_kept_half_done() -> None:
    sheet = Sheet({"a": "b+1", "b": "a+1"})
    assert sheet.value("a") == 2  # of the circle, b counts without a
    assert sheet.value("b") == 2  # and the other way round, whatever was asked before
    sheet.set(b="5")
    assert (sheet.value("a"), sheet.value("b")) == (6, 5)
    sheet.set(b="a+1")
    assert sheet.value("a") == 2


def test_a_question_without_an_answer_for_circles_says_so() -> None:
    memos = Memos()

    def ask(name: str) -> str:
        return again(name)

    again = Question(memos, ask)
    with pytest.raises(RuntimeError, match="asks for itself"):
        again("a")


def test_dropped_values_come_back_without_a_change() -> None:
    sheet = Sheet({"a": "b", "b": "1"})
    assert sheet.is_even("a") is False
    assert sheet.value.drop_values([("a",), ("b",)], 0) == []
    sheet.set()
    assert sheet.is_even("a") is False and sheet.worked_out["even a"] == 1
    for name in "abb":
        sheet.value(name)
    assert sheet.value.drop_values([("a",), ("b",)], 1) == [("b",)]  # asked for most
    assert (sheet.value("a"), sheet.value("b")) == (1, 1)


def test_a_failed_answer_is_asked_for_again() -> None:
    sheet = Sheet({"a": "b", "b": "x1"})
    sheet.cells["x1"] = "-"
    sheet.cells["-"] = "1"
    with pytest.raises(ValueError, match="bad"):
        Question(sheet.memos, lambda: (_ for _ in ()).throw(ValueError("bad")))()
    assert sheet.value("a") == 1


formulas = st.dictionaries(
    st.sampled_from("abcdef"),
    st.lists(st.sampled_from(["1", "2", "a", "b", "c", "d", "e", "f"]), min_size=1, max_size=3).map("+".join),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(formulas, min_size=1, max_size=6), st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6)
)
def test_without_circles_memos_say_what_a_fresh_sheet_says(
    changes: list[dict[str, str]], asked: list[str]
) -> None:
    sheet = Sheet({})
    for change in changes:
        sheet.set(**{name: _only_later(name, formula) for name, formula in change.items()})
        for name in asked:
            assert sheet.value(name) == Sheet(sheet.cells).value(name)


def _only_later(name: str, formula: str) -> str:
    """Without the cells that might lead back."""
    return "+".join(part for part in formula.split("+") if part.isdigit() or part > name) or "0"


# ---------------------------------------------------------------- the graph over edits

TEXTS = {
    "pkg/__init__.py": [
        "",
        "from .one import *\n",
        "from .one import run as go, Base\nfrom .two import *\n",
        "from .two import Base\n__all__ = ['Base']\n",
    ],
    "pkg/one.py": [
        "def run(): ...\nclass Base:\n    def m(self): ...\n",
        "\n\ndef run(): ...\nclass Base:\n    def m(self):\n        self.n()\n    def n(self): ...\n",
        "from pkg.two import *\n",
        "class Base: ...\n",
    ],
    "pkg/two.py": [
        "from pkg import one\nclass Base(one.Base):\n    def n(self): ...\n",
        "from .one import run, Base\nrun()\nBase().m()\n",
        "from . import *\nrun()\n",
    ],
    "main.py": [
        "import pkg\nfrom pkg import Base, go\nclass C(Base):\n  def x(self):\n    self.m()\n    super().n()\ngo()\n",
        "from pkg.one import run\nimport pkg.two\nrun()\npkg.two.Base().n()\npkg.run()\n",
        "from pkg import *\nBase().m()\nrun()\n",
    ],
    "web/a.ts": [
        "import B from './b';\nexport * from './b';\nnew B().m();\n",
        "import { b as c } from '@/b';\nc();\n",
    ],
    "web/b.ts": [
        "export default class B { m() {} }\nexport function b() {}\n",
        "export { b } from './a';\nfunction B() {}\nexport default B;\n",
    ],
    "tsconfig.json": [
        '{"compilerOptions": {"paths": {"@/*": ["web/*"]}}}',
        '{"compilerOptions": {"paths": {}}}',
    ],
    "go.mod": ["module m\n", "module other\n"],
    "go/a.go": ["package g\n\nfunc (s S) M() {}\nfunc F() { G() }\n", "package g\n\ntype S struct{}\n"],
    "go/b.go": ["package g\n\ntype S struct{}\n\nfunc G(s S) { s.M() }\n", "package g\n\nfunc G() {}\n"],
    "x.go": ['package main\n\nimport "m/go"\n\nfunc main() { g.F() }\n'],
    "h.h": ["int f(void);\n", '#include "i.h"\n'],
    "i.h": ["int f(void);\nint g(void);\n"],
    "f.c": ['#include "h.h"\nint f(void) { return g(); }\n', "int f(void) { return 1; }\n"],
}

edits = st.sampled_from(sorted(TEXTS)).flatmap(
    lambda path: st.tuples(st.just(path), st.sampled_from([*TEXTS[path], None]))
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(edits, min_size=1, max_size=4), min_size=1, max_size=6), st.booleans())
def test_after_any_edits_the_graph_says_what_a_fresh_one_says(
    batches: list[list[tuple[str, str | None]]], unsaved: bool
) -> None:
    kept = Graph()
    files = {path: texts[0] for path, texts in TEXTS.items()}
    for batch in batches:
        over: dict[str, str] = {}
        for path, text in batch:
            if text is None:
                files.pop(path, None)
            elif unsaved:
                over[path] = text
            else:
                files[path] = text
        view, fresh = MemoryView(files, over), Graph()
        for path in sorted({**files, **over}):
            assert kept.edges_of(view, path) == fresh.edges_of(view, path), path


SHAPES = {
    "star of a package with modules": {
        "p/__init__.py": "from .q import *\n",
        "p/q/__init__.py": "",
        "p/q/inner.py": "def f(): ...\n",
        "main.py": "import p\nfrom p import inner\np.inner.f()\np.q.inner.f()\ninner.f()\np.nothing()\n",
    },
    "star of a namespace package": {
        "p/__init__.py": "from space import *\n",
        "space/deep/one.py": "def f(): ...\n",
        "space/two.pyi": "def g(): ...\n",
        "main.py": "import p\np.deep.one.f()\np.two.g()\n",
    },
    "star of the root": {
        "__init__.py": "from one import *\n",
        "one.py": "from two import f\nimport three\n__all__ = ['f', 'late']\n",
        "two.py": "def f(): ...\n",
        "three.py": "def g(): ...\n",
        "main.py": "from one import *\nf()\nlate()\nthree.g()\n",
    },
    "circle": {
        "a.py": "from b import *\ndef f(): ...\n",
        "b.py": "from c import *\n",
        "c.py": "from a import *\ndef g(): ...\n",
        "main.py": "import b\nfrom c import f\nb.f()\nb.g()\nf()\nb.h()\n",
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_module_cannot_have_is_all_that_is_passed_over(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, short, long = MemoryView(SHAPES[shape]), Graph(), Graph()
    found = {path: short.edges_of(view, path) for path in SHAPES[shape]}
    monkeypatch.setattr(Offers, "may_have", lambda *_: True)
    assert found == {path: long.edges_of(view, path) for path in SHAPES[shape]}
    assert any(edge.target is not None for edge in found["main.py"])


def test_what_is_written_within_a_function_concerns_no_star(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "p/__init__.py": "from .one import *\nfrom .two import *\n",
        "p/one.py": "def f(): ...\n",
        "p/two.py": "def g():\n    pass\n",
        "main.py": "import p\np.f()\np.g()\np.h()\n",
    }
    graph, asked = Graph(), list[str]()
    find = Modules.find
    monkeypatch.setattr(
        Modules, "find", lambda self, module, name, seen: asked.append(name) or find(self, module, name, seen)
    )

    def meant() -> dict[str, str]:
        view = MemoryView(files)
        found = ((name, graph.member_of(view, "p/__init__.py", name)) for name in ("f", "g", "h"))
        return {name: value.places[0][0] for name, value in found if isinstance(value, Names)}

    assert meant() == {"f": "p/one.py", "g": "p/two.py"} and asked
    asked.clear()
    files["p/two.py"] = "def g():\n    class Inner:\n        x = 1\n"
    assert meant() == {"f": "p/one.py", "g": "p/two.py"} and "f" not in asked and "h" not in asked
    files["p/two.py"] = "def g():\n    pass\n\n\ndef h():\n    pass\n"
    assert meant() == {"f": "p/one.py", "g": "p/two.py", "h": "p/two.py"}


class Counting(MemoryView):
    """Counts whose definitions and references are looked at."""

    def __init__(self, texts: dict[str, str]) -> None:
        super().__init__(texts)
        self.looked_at: Counter[str] = Counter()

    def tags_in(self, path: str):
        self.looked_at[f"tags {path}"] += 1
        return super().tags_in(path)

    def sites_of(self, path: str):
        self.looked_at[f"sites {path}"] += 1
        return super().sites_of(path)


FILES = {
    **{path: texts[0] for path, texts in TEXTS.items()},
    "pkg/__init__.py": TEXTS["pkg/__init__.py"][2],
    "alone.py": "def f(): ...\nf()\n",
}


def test_a_saved_file_concerns_only_what_depends_on_it() -> None:
    graph = Graph()
    for path in FILES:
        graph.edges_of(Counting(FILES), path)
    saved = Counting({**FILES, "pkg/one.py": TEXTS["pkg/one.py"][1]})
    for path in FILES:
        graph.edges_of(saved, path)
    assert saved.looked_at["sites main.py"] == 1 and saved.looked_at["tags pkg/one.py"] == 1
    assert not {path for path in saved.looked_at if path.endswith((".ts", ".go", ".c", "alone.py"))}


def test_a_saved_file_that_defines_the_same_as_before_concerns_no_other() -> None:
    graph = Graph()
    for path in FILES:
        graph.edges_of(Counting(FILES), path)
    saved = Counting({**FILES, "pkg/one.py": "# a word more\n" + FILES["pkg/one.py"]})
    for path in FILES:
        graph.edges_of(saved, path)
    assert {path for path in saved.looked_at if path.startswith("sites")} == {"sites pkg/one.py"}
    (edge,) = [edge for edge in graph.edges_of(saved, "pkg/two.py") if edge.kind == "class"]
    assert edge.target is not None and edge.target.start_line == 2  # where it is now


def test_a_new_file_is_found_and_concerns_only_who_imports_it() -> None:
    graph = Graph()
    files = {**FILES, "main.py": "from late import come\ncome()\n"}
    for path in files:
        graph.edges_of(Counting(files), path)
    added = Counting({**files, "late.py": "def come(): ...\n"})
    found = {
        edge.name: edge.target for path in files for edge in graph.edges_of(added, path) if path == "main.py"
    }
    assert found["come"] is not None and found["come"].path == "late.py"
    assert {path for path in added.looked_at if path.startswith("sites")} == {"sites main.py"}


def test_a_project_file_that_could_not_be_read_is_tried_again() -> None:
    class Slow(MemoryView):
        reads = 0

        def text(self, path: str) -> str | None:
            self.reads += 1
            return None if self.reads == 1 else super().text(path)

    view = Slow(
        {"tsconfig.json": TEXTS["tsconfig.json"][0], "web/b.ts": TEXTS["web/b.ts"][0], "c.ts": TS_USER}
    )
    found = [
        [edge.target for edge in view.graph.edges_of(view, "c.ts") if edge.name == "b"] for _ in range(2)
    ]
    assert found[0] == [None] and found[1][0] is not None


TS_USER = "import { b } from '@/b';\n"


def test_several_threads_may_ask() -> None:
    graph, views = Graph(), [Counting(FILES), Counting({**FILES, "pkg/one.py": TEXTS["pkg/one.py"][3]})]
    expected = [[Graph().edges_of(view, path) for path in FILES] for view in views]
    wrong: list[object] = []

    def ask(number: int) -> None:
        for turn in range(20):
            which = (number + turn) % 2
            for path, edges in zip(FILES, expected[which], strict=True):
                if graph.edges_of(views[which], path) != edges:
                    wrong.append((which, path))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


async def test_building_aside_ends_with_its_task() -> None:
    graph, view = Graph(), Counting(FILES)
    await graph.build_aside(view, FILES)
    before = Counter(view.looked_at)
    graph.build(view, FILES)
    assert view.looked_at == before


# ---------------------------------------------------------------- code that nobody writes


def handed_on(length: int) -> dict[str, str]:
    files = {f"m{number}.py": f"from m{number + 1} import thing\n" for number in range(length)}
    return {**files, f"m{length}.py": "def thing(): ...\n", "main.py": "from m0 import thing\nthing()\n"}


def stars_everywhere(width: int) -> dict[str, str]:
    everything = "".join(f"from m{number} import *\n" for number in range(width))
    files = {f"m{number}.py": everything + f"def f{number}(): ...\n" for number in range(width)}
    return {
        **files,
        "main.py": "from m0 import *\n"
        + "".join(f"f{number}()\nlost{number}()\n" for number in range(width)),
    }


def inherited(length: int) -> dict[str, str]:
    files = {
        f"m{number}.py": f"from m{number + 1} import C as B\nclass C(B): ...\n" for number in range(length)
    }
    last = {f"m{length}.py": "class C:\n    def thing(self): ...\n"}
    return {**files, **last, "main.py": "from m0 import C\nC().thing()\n"}


def told_by_another(length: int) -> dict[str, str]:
    files = {f"m{number}.py": f"import m{number + 1}\nv = m{number + 1}.v.next\n" for number in range(length)}
    last = {f"m{length}.py": "class C:\n    next: 'C'\n    def thing(self): ...\nv = C()\n"}
    return {**files, **last, "main.py": "import m0\nm0.v.thing()\n"}


def static_stars(width: int) -> dict[str, str]:
    """Java: every class takes everything of every other, and has a base that is nowhere."""
    stars = "".join(f"import static p.C{number}.*;\n" for number in range(width))
    body = "extends Lost{0} {{ void go() {{ lost(); }} }}"
    return {
        f"src/p/C{number}.java": f"package p;\n{stars}class C{number} {body.format(number)}\n"
        for number in range(width)
    }


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param(handed_on(10), True, id="10 hops"),
        pytest.param(handed_on(1_000), False, id="1,000 hops"),
        pytest.param(stars_everywhere(40), None, id="stars everywhere"),
        pytest.param(inherited(100), True, id="100 bases"),
        pytest.param(inherited(1_000), False, id="1,000 bases"),
        pytest.param(told_by_another(5), True, id="5 files tell a type"),
        pytest.param(told_by_another(1_000), False, id="1,000 files tell a type"),
        pytest.param(static_stars(12), None, id="static stars"),
    ],
)
@pytest.mark.timeout(60)
def test_what_is_endless_ends(files: dict[str, str], found: bool | None) -> None:
    view, graph = MemoryView(files), Graph()
    edges = {path: graph.edges_of(view, path) for path in files}
    assert {path: Graph().edges_of(view, path) for path in list(files)[:3]} == {
        path: edges[path] for path in list(files)[:3]
    }
    if found is not None:
        (edge,) = [edge for edge in edges["main.py"] if edge.name == "thing" and edge.kind == "call"]
        assert (edge.target is not None) == found and edge.why
