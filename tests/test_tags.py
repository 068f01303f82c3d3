"""Definitions and references in nine languages, on whole, broken and strange texts; see test_languages.py, too.

A line of `definitions` is `kind name container first-last` with the 1-based lines of the whole definition.
"""

import itertools
import time
from pathlib import Path

import pytest

from indexer.parsing import tags as tagging
from indexer.parsing.docstrings import DOCSTRING_CHARACTERS
from indexer.parsing.languages import GRAMMARS, language_of, parse, query_for
from indexer.parsing.tags import SIGNATURE_CHARACTERS, TYPE_KINDS, Tag, tags

PYTHON = """\
import os
MAX = 3
MAX = 4

@deco(x)
class A(pkg.Base, Mixin):
    x: int = 1

    @property
    def foo(self, a: List[int]) -> "B":
        def inner(): pass
        return bar(MAX, self.y)

async def main(): await a.b.call()
type Alias = dict[str, A]
"""

TYPESCRIPT = """\
import { Helper as H } from "./helper";
const fs = require("fs");
@Component({ a: 1 })
export class K<T> extends Base implements I {
  @Dec() method(a: Foo): Bar {
    const local = 1;
    return new Baz(a);
  }
  arrow = (x: number) => x;
}
export const f = async (a: number): Promise<void> => {
  doIt(a);
};
export interface I { m(a: string): void; }
type Either = Foo | Bar;
export enum E { A, B }
export default function main() {}
const LIMIT = 10, OTHER = 4;
namespace N { export function inner() {} }
abstract class Q { abstract go(): void; }
"""

TSX = """\
export const View = (p: Props) => <Panel.Body x={1}><Button /></Panel.Body>;
"""

JAVASCRIPT = """\
const x = require('x');
class A extends B {
  m() { this.foo(); }
  f = () => 1;
}
module.exports = { go: function () {}, run() {} };
exports.zip = (a) => a;
const App = () => <Foo bar={1} />;
var URL = "x";
function* gen() {}
"""

GO = """\
package main

import "fmt"

const A = 1
const (
	B = 2
	C = 3
)

var v, w = 1, 2

type S struct{ a int }
type (
	T = S
	I interface {
		M(a int) error
	}
)

func (s *S) Do(x Foo) error {
	local := 1
	return fmt.Errorf("x", pkg.Name, local)
}

func (l List[T]) Len() int { return 0 }
func New[T any]() *S       { return &S{} }
"""

RUST = """\
use a::{b, C as D};
#[derive(Debug)]
pub struct P<T> {
    x: T,
}
impl<T> P<T> {
    #[inline]
    pub fn new(x: T) -> Self {
        foo(x);
        Vec::with_capacity(1)
    }
}
impl Trait for P<i32> {
    fn t(&self) {}
}
trait Trait { fn t(&self); }
const X: i32 = 1;
mod m { fn inner() {} }
macro_rules! mm { () => {} }
enum E { A }
fn main() { println!("{}", X); }
"""

JAVA = """\
package a.b;
import java.util.List;
@Ann
public class A extends B implements C {
  static final int MAX = 1;
  private int y;
  @Override
  public <T> void foo(List<T> a) { bar(MAX); new Baz(); Foo.qux(); }
  A() {}
  enum E { X, Y }
  interface I { void m(); }
}
record R(int a) {}
"""

C = """\
#ifndef X_H
#define X_H
#define MAXV(a) ((a) + 1)
typedef struct foo { int a; } foo_t;
struct forward;
enum e { A };
int proto(int a);
char *ptr(void);
static int *table[] = {1};
int main(int argc, char **argv)
{
    struct foo f;
    int x = proto(LIMIT);
    return x;
}
static void **pp(void) { }
#endif
"""

CPP = """\
namespace ns {
template <typename T>
class Foo : public Base<T> {
 public:
  Foo();
  ~Foo() {}
  int get() const { return x; }
  void decl(int);
  int x;
};
struct S { int a; };
}
template <class T>
void Foo<T>::run(int a) { std::sort(a); bar<int>(1); Foo local(a); }
int& ns::A::ref() { return y; }
using U = int;
enum class Color { Red };
static const int K = 3;
int freefn(const Foo& f);
"""

DEFINITIONS = {
    "python": """
        constant MAX - 2-2 | class A - 5-12 | method foo A 9-12 | function inner foo 11-11
        | function main - 14-14 | type Alias - 15-15""",
    "typescript": """
        class K - 3-10 | method method K 5-8 | method arrow K 9-9 | function f - 11-13
        | interface I - 14-14 | method m I 14-14 | type Either - 15-15 | enum E - 16-16
        | function main - 17-17 | constant LIMIT - 18-18 | constant OTHER - 18-18 | module N - 19-19
        | function inner N 19-19 | class Q - 20-20 | method go Q 20-20""",
    "tsx": "function View - 1-1",
    "javascript": """
        class A - 2-5 | method m A 3-3 | method f A 4-4 | method go - 6-6 | method run - 6-6
        | function zip - 7-7 | function App - 8-8 | constant URL - 9-9 | function gen - 10-10""",
    "go": """
        constant A - 5-5 | constant B - 7-7 | constant C - 8-8 | constant v - 11-11 | constant w - 11-11
        | struct S - 13-13 | type T - 15-15 | interface I - 16-18 | method M I 17-17 | method Do S 21-24
        | method Len List 26-26 | function New - 27-27""",
    "rust": """
        struct P - 2-5 | method new P 7-11 | method t P 14-14 | interface Trait - 16-16 | method t Trait 16-16
        | constant X - 17-17 | module m - 18-18 | function inner m 18-18 | macro mm - 19-19 | enum E - 20-20
        | function main - 21-21""",
    "java": """
        class A - 3-12 | constant MAX A 5-5 | method foo A 7-8 | method A A 9-9 | enum E A 10-10
        | interface I A 11-11 | method m I 11-11 | class R - 13-13""",
    "c": """
        macro X_H - 2-2 | macro MAXV - 3-3 | type foo_t - 4-4 | struct foo - 4-4 | enum e - 6-6
        | prototype proto - 7-7 | prototype ptr - 8-8 | constant table - 9-9 | function main - 10-15
        | function pp - 16-16""",
    "cpp": """
        module ns - 1-12 | class Foo ns 2-10 | method Foo Foo 5-5 | method ~Foo Foo 6-6 | method get Foo 7-7
        | method decl Foo 8-8 | struct S ns 11-11 | method run Foo 13-14 | method ref A 15-15 | type U - 16-16
        | enum Color - 17-17 | constant K - 18-18 | prototype freefn - 19-19""",
}

REFERENCES = {
    "python": "deco Base Mixin int property List bar MAX call dict str A",
    "typescript": "Helper require Component T Base I Dec Foo Bar Baz Promise doIt Foo Bar",
    "tsx": "Props Panel Body Button",
    "javascript": "require B foo Foo",
    "go": "int S int error S Foo error Errorf Name List T int any S",
    "rust": "b C Debug T P foo Vec with_capacity Self Trait P println X",
    "java": "List Ann B C Override T List bar MAX Baz Foo qux",
    "c": "forward foo proto LIMIT",
    "cpp": "T Base Foo sort bar A Foo",
}

SOURCES = {
    "python": PYTHON,
    "typescript": TYPESCRIPT,
    "tsx": TSX,
    "javascript": JAVASCRIPT,
    "go": GO,
    "rust": RUST,
    "java": JAVA,
    "c": C,
    "cpp": CPP,
}


def show(tag: Tag) -> str:
    return f"{tag.kind} {tag.name} {tag.container or '-'} {tag.start_line + 1}-{tag.end_line}"


def test_every_grammar_is_tested() -> None:
    elsewhere = {folder.name for folder in Path(__file__).with_name("languages").iterdir()}
    assert set(SOURCES) == set(DEFINITIONS) == set(REFERENCES)
    assert set(SOURCES) | elsewhere == set(GRAMMARS)


@pytest.mark.parametrize("language", SOURCES)
def test_definitions(language: str) -> None:
    found = tags(SOURCES[language], language)
    assert [show(tag) for tag in found.definitions] == [
        " ".join(part.split()) for part in DEFINITIONS[language].split("|")
    ]
    assert found.error == ""


@pytest.mark.parametrize("language", SOURCES)
def test_names_stand_where_the_tag_says(language: str) -> None:
    lines = SOURCES[language].split("\n")
    found = tags(SOURCES[language], language)
    for tag in found.definitions:
        assert lines[tag.name_line][tag.name_column :].startswith(tag.name)
        assert tag.start_line <= tag.name_line < tag.end_line <= len(lines)
    for name, sites in found.references.items():
        for site in sites:
            assert lines[site.line][site.column :].startswith(name)


@pytest.mark.parametrize("language", SOURCES)
def test_references(language: str) -> None:
    assert set(REFERENCES[language].split()) <= set(tags(SOURCES[language], language).references)


@pytest.mark.parametrize("language", SOURCES)
@pytest.mark.parametrize("cut", [0.55, 0.8, 1.0])
def test_broken_texts_still_have_tags(language: str, cut: float) -> None:
    whole = SOURCES[language]
    found = tags(whole[: int(len(whole) * cut)] + "\n)))] {{{ '", language)
    assert found.error == ""
    if language != "tsx":  # one line, in pieces
        assert found.definitions


@pytest.mark.parametrize("language", SOURCES)
def test_crlf_changes_nothing(language: str) -> None:
    whole, crlf = tags(SOURCES[language], language), tags(SOURCES[language].replace("\n", "\r\n"), language)
    assert [show(tag) for tag in crlf.definitions] == [show(tag) for tag in whole.definitions]
    assert [tag.signature for tag in crlf.definitions] == [tag.signature for tag in whole.definitions]


def test_columns_count_characters() -> None:
    text = "class Ä:\n    '''größe 😀'''; Ü = 1\n    '''😀'''; übung()\n"
    ((name, (site,)),) = tags(text, "python").references.items()
    assert (name, site.line, site.column) == ("übung", 2, 13)


@pytest.mark.parametrize(
    ("language", "text", "signatures"),
    [
        ("python", "@d\ndef f(\n    a,\n    b=1,\n) -> int:\n    pass\n", ["def f( a, b=1, ) -> int:"]),
        ("typescript", "@C()\nexport class K { }\n", ["export class K"]),
        ("javascript", "const f = (a) => {\n  return a\n}\n", ["const f = (a) =>"]),
        ("rust", "#[x]\npub fn f<T>(a: T)\nwhere T: Copy {\n}\n", ["pub fn f<T>(a: T) where T: Copy"]),
        ("cpp", "template <class T>\nT f(T a) { }\n", ["template <class T> T f(T a)"]),
        ("python", "X = " + "1 + " * 200 + "1\n", [("X = " + "1 + " * 200)[:SIGNATURE_CHARACTERS]]),
    ],
)
def test_signatures(language: str, text: str, signatures: list[str]) -> None:
    assert [tag.signature for tag in tags(text, language).definitions] == signatures


@pytest.mark.parametrize(
    ("language", "text", "docstring"),
    [
        ("python", 'def f():\n    """Adds\n    two.\n\n    More."""\n', "Adds two."),
        ("python", "def f():\n    r'Adds.'\n    return 1\n", "Adds."),
        ("python", "def f(): 'Adds.'; return 1\n", "Adds."),
        ("python", 'class A:\n    """\n    Größe.\n    """\n', "Größe."),
        ("python", 'def f():\n    """Adds.\n\n    :returns: it\n    """\n', "Adds."),
        ("python", 'def f():\n    """Adds.\n    :returns: it\n    """\n', "Adds."),
        ("python", "def f():\n    'a'.join(b)\n", ""),
        ("python", "def f():\n    'a' + b\n", ""),
        ("python", "def f():\n    x = 'a'\n", ""),
        ("python", "# Above.\ndef f(): pass\n", ""),
        ("python", 'def f():\n    """' + "a " * 500 + '"""\n', "a " * (DOCSTRING_CHARACTERS // 2)),
        ("python", 'def f():\n    """never closed\n', ""),
        ("typescript", "/** Adds two.\n *\n * More. */\nexport function f() {}\n", "Adds two."),
        ("typescript", "/**\n * Adds\n * two.\n * @param a one\n */\nfunction f() {}\n", "Adds two."),
        ("typescript", "// Adds\n// two.\nconst f = () => 1;\n", "Adds two."),
        ("typescript", "/* Adds. */\n@C()\nclass A {}\n", "Adds."),
        ("typescript", "/** Not this. */\n\nfunction f() {}\n", ""),
        ("typescript", "x(); /* of x */\nfunction f() {}\n", ""),
        ("typescript", "/** Not closed\nfunction f() {}\n", ""),
        ("javascript", "/** Adds. */ function f() {}\n", ""),  # on its own line only
    ],
)
def test_docstrings(language: str, text: str, docstring: str) -> None:
    assert next((tag.docstring for tag in tags(text, language).definitions), "") == docstring


@pytest.mark.parametrize(
    ("language", "text", "bases"),
    [
        ("python", "class A: pass", ()),
        ("python", "class A(B, c.D, E[int], Generic[T], metaclass=M): pass", ("B", "c.D", "E", "Generic")),
        ("python", "class A(make(B), *C): pass", ()),
        ("python", "class A(\n    B,  # why\n    C,\n): pass", ("B", "C")),
        ("typescript", "class A<T> extends B<T, U> implements C, d.E<F> {}", ("B", "C", "d.E")),
        ("typescript", "abstract class A extends a.B {}", ("a.B",)),
        ("typescript", "interface A extends B<C>, d.E {}", ("B", "d.E")),
        ("typescript", "class A extends mixin(B) implements C {}", ("C",)),
        ("javascript", "class A extends b.C {}", ("b.C",)),
        ("javascript", "const A = class extends B {}", ("B",)),
    ],
)
def test_bases(language: str, text: str, bases: tuple[str, ...]) -> None:
    assert tags(text, language).definitions[0].bases == bases


@pytest.mark.parametrize(
    ("language", "text", "result"),
    [
        ("python", "def f(): pass", ""),
        ("python", "def f() -> Foo: pass", "Foo"),
        ("python", "async def f() -> a.Foo[int]: pass", "a.Foo"),
        ("python", "def f() -> Optional['Foo']: pass", "Foo"),
        ("python", "def f() -> None | Foo: pass", "Foo"),
        ("python", "def f() -> Foo | Bar: pass", ""),
        ("python", "def f() -> None: pass", ""),
        ("python", "def f() -> 'Self': pass", "Self"),
        ("python", "def f() -> typing.Annotated[Foo, Bar(1)]: pass", "Foo"),
        ("python", "X: Final[Foo] = 1", "Foo"),
        ("python", "X = 1", ""),
        ("python", "class A:\n def m(self):\n  if self.x: return self\n  return self  # it", "Self"),
        ("python", "class A:\n def m(self): return self", "Self"),
        ("python", "class A:\n def m(self): return self.x", ""),
        ("python", "class A:\n def m(self): return self or 1", ""),
        ("python", "class A:\n def m(self): return self,", ""),
        ("python", "class A:\n def m(self):\n  if self.x: return\n  return self", ""),
        ("python", "class A:\n def m(self):\n  yield 1\n  return self", ""),
        ("python", "class A:\n def m(self):\n  def f(): return self\n", ""),
        ("python", "class A:\n def m(self) -> A | B: return self", ""),
        ("typescript", "class A { m(a) { this.a = a; return this; } }", "this"),
        ("typescript", "class A { m() { return this\n } }", "this"),
        ("typescript", "class A { m() { return this.a } }", ""),
        ("typescript", "function f(): Foo<Bar> {}", "Foo"),
        ("typescript", "const f = async (): Promise<a.Foo | undefined> => 1", "a.Foo"),
        ("typescript", "const f: Handler = () => 1", ""),
        ("typescript", "const X: Foo = 1", "Foo"),
        ("typescript", "function f(): void {}", ""),
        ("typescript", "function f(): Foo[] {}", ""),
        ("typescript", "function f(): x is Foo {}", ""),
        ("typescript", "function f(): () => Foo {}", ""),
    ],
)
def test_results(language: str, text: str, result: str) -> None:
    definition = next(tag for tag in tags(text, language).definitions if tag.kind not in TYPE_KINDS)
    assert definition.result == result


@pytest.mark.parametrize(
    ("text", "language", "error"),
    [
        ("# a\n", "markdown", ""),
        ("x", None, ""),
        ("", "python", ""),
        (b"x = '\xff'\n", "python", "not UTF-8"),
        (b"def f(): pass\n", "python", ""),
        ("x = '\ud800'\n", "python", ""),
    ],
)
def test_nothing_raises(text: str | bytes, language: str | None, error: str) -> None:
    assert tags(text, language).error == error


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "x = " + "(" * 50_000 + ")" * 50_000),
        ("python", "x = " + "[" * 50_000),
        ("python", "\n".join(" " * depth + "def f():" for depth in range(900))),
        ("javascript", "f(function g() {" * 3_000 + "})" * 3_000),
        ("c", "int f() {" + "{" * 20_000 + "}" * 20_001),
        ("rust", "mod a {" * 5_000 + "}" * 5_000),
        ("java", "class A {" * 3_000 + "}" * 3_000),
        ("cpp", "namespace n {" * 5_000 + "}" * 5_000),
        ("go", "package a\nvar x = " + "[]" * 20_000 + "int{}"),
        ("typescript", "type T = " + "A<" * 5_000 + ">" * 5_000),
    ],
)
def test_deep_nesting(language: str, text: str) -> None:
    assert tags(text, language).error == ""


@pytest.mark.parametrize("language", SOURCES)
@pytest.mark.parametrize("purpose", ["definitions", "references", "imports"])
def test_queries_compile_and_are_cached(language: str, purpose: str) -> None:
    query = query_for(language, purpose)  # type: ignore[arg-type]
    assert query.pattern_count > 0
    assert query_for(language, purpose) is query  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"),
        ("b.PYI", "python"),
        ("x.jsx", "javascript"),
        ("x.d.ts", "typescript"),
        ("x.tsx", "tsx"),
        ("x.go", "go"),
        ("x.rs", "rust"),
        ("X.java", "java"),
        ("x.c", "c"),
        ("x.h", "cpp"),
        ("x.cc", "cpp"),
        ("Dockerfile", "dockerfile"),
        ("a/Dockerfile.prod", "dockerfile"),
        ("CMakeLists.txt", "cmake"),
        ("README.md", "markdown"),
        ("noextension", None),
        (".hidden", None),
        ("a.unknown", None),
        ("dir.py/file", None),
    ],
)
def test_language_of(path: str, language: str | None) -> None:
    assert language_of(path) == language


def test_what_is_found_does_not_hang_on_how_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by a minute at every look: others have the processor. Long enough for the parser to look."""
    text = PYTHON * 100
    expected = tags(text, "python")
    assert expected.error == ""
    monkeypatch.setattr(time, "monotonic", itertools.count(0.0, 60.0).__next__)
    found = tags(text, "python")
    monkeypatch.undo()
    assert found == expected


@pytest.mark.parametrize("part", ["parse", "read"])
def test_what_takes_too_much_of_a_processor_is_left(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    clock = itertools.count(0.0, 60.0).__next__
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(time, "thread_time", clock)
    if part == "read":
        monkeypatch.setattr(tagging, "parse", lambda data, language, _timeout_s: parse(data, language))
    found = tags(PYTHON * 100, "python")
    monkeypatch.undo()
    assert ("parsing took longer" if part == "parse" else "not everything") in found.error
