"""What stands before the dot of a call, and what fields are: `receiver name` of each call in the order of the
text, `-` for a bare name.

To add a case: a text, and what should be read from it. What a file alone does not tell is `?`, never a guess."""

import pytest

from indexer.parsing.tags import Tags, by_place, tags

CALLS: dict[str, list[tuple[str, str, str]]] = {
    "python": [
        ("self is an instance", "class C:\n def m(self): self.go()", ":C go"),
        ("whatever it is called", "class C:\n def m(this): this.go()", ":C go"),
        ("in a nested function", "class C:\n def m(self):\n  def inner(): self.go()", ":C go"),
        ("in a lambda", "class C:\n def m(self): return lambda: self.go()", ":C go"),
        (
            "cls is the class",
            "class C:\n @classmethod\n def m(cls): cls.make(); cls().go()",
            "- classmethod, C make, ? cls, C() go",
        ),
        ("of a static method", "class C:\n @staticmethod\n def m(self): self.go()", "- staticmethod, ? go"),
        ("__new__", "class C:\n def __new__(cls): cls.make()", "C make"),
        ("of a function", "def m(self): self.go()", "? go"),
        ("super", "class C(B):\n def m(self): super().m()", "- super, :super(C) m"),
        ("super of another", "class C(B):\n def m(self): super(D, self).m()", "- super, :super(D) m"),
        ("field", "class C:\n def m(self): self.x.go()", ":C.x go"),
        ("own class", "class C:\n def m(self): self.__class__.go()", "C go"),
        ("inner class", "class C:\n class D:\n  def m(self): self.go()", ":D go"),
        ("module", "import m\nm.go()", "m go"),
        ("module within", "import a.b\na.b.go()", "a.b go"),
        ("import in a function", "def f():\n from m import a\n a.go()", "a go"),
        ("name of no import", "go.on()", "go on"),
        ("annotated parameter", "def f(x: Foo): x.go()", ":Foo go"),
        ("dotted annotation", "def f(x: a.Foo): x.go()", ":a.Foo go"),
        ("annotation as text", "def f(x: 'Foo'): x.go()", ":Foo go"),
        ("optional", "def f(x: Optional[Foo] = None): x.go()", ":Foo go"),
        ("or None", "def f(x: Foo | None = None): x.go()", ":Foo go"),
        ("as text or None", "def f(x: 'Foo | None' = None): x.go()", ":Foo go"),
        ("typing.Optional of text", "def f(x: typing.Optional['a.Foo']): x.go()", ":a.Foo go"),
        ("Union with None", "def f(x: Union[Foo, None]): x.go()", ":Foo go"),
        ("Union of two", "def f(x: Union[Foo, Bar]): x.go()", "? go"),
        ("two types", "def f(x: Foo | Bar): x.go()", "? go"),
        ("type arguments", "def f(x: dict[str, Foo]): x.go()", ":dict go"),
        ("Annotated", "def f(x: Annotated[Foo, 1]): x.go()", ":Foo go"),
        ("class as value", "def f(x: type[Foo]): x.go(); x().on()", "Foo go, ? x, Foo() on"),
        ("Self", "class C:\n def m(self, o: Self): o.go()", ":C go"),
        ("callable", "def f(x: Callable[[int], Foo]): x.go()", ":Callable go"),
        ("bare parameter", "def f(x): x.go(); x.y.on()", "? go, ? on"),
        ("parameter with default", "def f(x=Foo()): x.go()", "- Foo, ? go"),
        ("star parameters", "def f(*x: Foo, **y: Foo): x.go(); y.on()", "? go, ? on"),
        ("keyword only", "def f(a, *, x: Foo, y): x.go(); y.go()", ":Foo go, ? go"),
        ("constructor", "def f():\n x = Foo()\n x.go()", "- Foo, Foo() go"),
        ("constructor of a module", "x = m.Foo(1)\nx.go()", "m Foo, m.Foo() go"),
        ("call of a call", "x = make().y\nx.go()", "- make, make().y go"),
        ("chain", "a.b().c.d().e()", "a b, a.b().c d, a.b().c.d() e"),
        ("alias of a class", "def f():\n F = m.Foo\n F.go()\n F().go()", "m.Foo go, ? F, m.Foo() go"),
        ("names for one another", "def f():\n x = Foo()\n y = x\n y.go()", "- Foo, Foo() go"),
        ("circle", "def f():\n x = y\n y = x\n x.go()", "? go"),
        ("made of itself", "def f():\n x = Foo()\n x = x.next()\n x.go()", "- Foo, ? next, ? go"),
        ("two things", "def f():\n x = Foo()\n x = Bar()\n x.go()", "- Foo, - Bar, ? go"),
        ("the same twice", "def f():\n x = Foo(1)\n x = Foo(2)\n x.go()", "- Foo, - Foo, Foo() go"),
        ("None first", "def f():\n x = None\n x = Foo()\n x.go()", "- Foo, Foo() go"),
        ("only None", "def f():\n x = None\n x.go()", "? go"),
        ("declared", "def f():\n x: Foo = bar()\n x = baz()\n x.go()", "- bar, - baz, :Foo go"),
        ("parameter set anew", "def f(x):\n x = Foo()\n x.go()", "- Foo, ? go"),
        ("typed parameter set anew", "def f(x: Foo):\n x = x or Foo()\n x.go()", "- Foo, :Foo go"),
        ("augmented", "def f():\n x = Foo()\n x += 1\n x.go()", "- Foo, ? go"),
        ("unpacked", "x, (y, *z) = f()\nx.a(); y.b(); z.c()", "- f, ? a, ? b, ? c"),
        (
            "unpacked into fields",
            "class C:\n def m(self):\n  self.a, self.b = f()\n  self.go()",
            "- f, :C go",
        ),
        ("loop", "for x in xs: x.go()", "? go"),
        ("loop of pairs", "for x, y in xs: y.go()", "? go"),
        ("comprehension", "x = Foo()\n[x.go() for x in xs]\nx.go()", "- Foo, ? go, Foo() go"),
        ("with", "with Foo() as x: x.go()", "- Foo, Foo().__enter__() go"),
        (
            "with two",
            "with a.b() as x, Foo() as (y, z): x.go(); y.go()",
            "a b, - Foo, a.b().__enter__() go, ? go",
        ),
        ("with nothing", "with Foo(): pass", "- Foo"),
        ("exception", "try: pass\nexcept a.E as e: e.go()", ":a.E go"),
        ("one of two exceptions", "try: pass\nexcept (A, B) as e: e.go()", "? go"),
        ("walrus", "def f():\n if (x := Foo()): x.go()", "- Foo, Foo() go"),
        (
            "walrus in a comprehension",
            "def f():\n [y for y in ys if (x := Foo())]\n x.go()",
            "- Foo, Foo() go",
        ),
        ("match", "match a:\n case Foo(b=x): x.go()\n case [y, *z]: y.a(); z.b()", "? go, ? a, ? b"),
        ("match as", "match a:\n case Foo() as x: x.go()", "? go"),
        ("inner scope hides", "x = Foo()\ndef f(x): x.go()", "- Foo, ? go"),
        ("outer scope", "def f():\n x = Foo()\n def g(): x.go()", "- Foo, Foo() go"),
        ("class scope is not seen", "class C:\n x = Foo()\n def m(self): x.go()", "- Foo, x go"),
        ("class scope in itself", "class C:\n x = Foo()\n x.go()", "- Foo, Foo() go"),
        ("global", "def f():\n global x\n x = Foo()\ndef g(): x.go()", "- Foo, Foo() go"),
        ("global of two kinds", "x = Bar()\ndef f():\n global x\n x = Foo()\n x.go()", "- Bar, - Foo, ? go"),
        ("nonlocal", "def f():\n x = None\n def g():\n  nonlocal x\n  x = Foo()\n x.go()", "- Foo, Foo() go"),
        ("module variable", "x = Foo()\ndef f(): x.go()", "- Foo, Foo() go"),
        ("both ways the same", "def f(a): x = Foo() if a else None; x.go()", "- Foo, Foo() go"),
        ("either", "def f(a): x = Foo() if a else Bar(); x.go()", "- Foo, - Bar, ? go"),
        ("text", "'a'.join(x); f'{a}'.strip()", ":str join, :str strip"),
        ("literals", "[].append(1); {}.get(1); x = 1.5\nx.hex()", ":list append, :dict get, :float hex"),
        ("index", "a[0].go()", "? go"),
        ("operator", "(a + b).go()", "? go"),
        ("await", "async def f(): (await make()).go()", "- make, make() go"),
        ("brackets", "(Foo()).go()", "- Foo, Foo() go"),
        ("over lines", "x = (Foo()\n  .a()  # b.c\n  .b())", "- Foo, Foo() a, Foo().a() b"),
        ("local function", "def f():\n def go(): pass\n go()", "- go"),
        ("parameter called", "def f(go): go()", "? go"),
        ("variable called", "def f():\n go = make()\n go()", "- make, ? go"),
        ("module variable called", "go = make()\ngo()", "- make, - go"),
        ("in a decorator", "@a.deco\n@b.make(1)\ndef f(): pass", "a deco, b make"),
        ("not UTF-8 only", "größe = Foo()\ngröße.geh()", "- Foo, Foo() geh"),
        ("broken", "def f(x: Foo):\n x.go()\n x.on(\n\ndef g(y: Bar): y.go()", ":Foo go, :Bar go"),
    ],
    "typescript": [
        ("this", "class C { m() { this.go() } }", ":C go"),
        ("this in an arrow", "class C { m() { [1].map(() => this.go()) } }", ":Array map, :C go"),
        ("this in a function", "class C { m() { (function () { this.go() }) } }", "? go"),
        ("this of a static method", "class C { static m() { this.go() } }", "C go"),
        ("this in a field", "class C { f = () => this.go(); x = this.on() }", ":C go, :C on"),
        ("this in an object", "class C { o = { m() { this.go() } } }", "? go"),
        ("this of nothing", "function f() { this.go() }\nthis.go()", "? go, ? go"),
        ("class that is a value", "const C = class { m() { this.go() } }", ":C go"),
        ("super", "class C extends B { m() { super.m() } }", ":super(C) m"),
        ("field", "class C { m() { this.x.go(); this.#y.go() } }", ":C.x go, :C.#y go"),
        ("not null", "class C { m() { this.x!.go(); this.x?.on() } }", ":C.x go, :C.x on"),
        ("typed parameter", "function f(x: Foo) { x.go() }", ":Foo go"),
        ("dotted type", "function f(x: a.Foo<B>) { x.go() }", ":a.Foo go"),
        ("optional parameter", "function f(x?: Foo, y?: Foo | null) { x.go(); y.on() }", ":Foo go, :Foo on"),
        ("bare parameter", "function f(x) { x.go() }", "? go"),
        ("two types", "function f(x: Foo | Bar) { x.go() }", "? go"),
        ("list", "function f(x: Foo[]) { x.go() }", "? go"),
        ("function type", "function f(x: (a: A) => Foo) { x.go() }", "? go"),
        ("object type", "function f(x: { a: Foo }) { x.go() }", "? go"),
        ("Promise", "function f(x: Promise<Foo>) { x.go() }", ":Foo go"),
        ("this as type", "class C { m(x: this) { x.go() } }", ":C go"),
        ("rest", "function f(...x: Foo[]) { x.go() }", "? go"),
        ("unpacked", "function f({ x, a: y }: P, [z]: Q) { x.a(); y.b(); z.c() }", "? a, ? b, ? c"),
        ("arrow", "const f = (x: Foo) => x.go(); const g = y => y.on()", ":Foo go, ? on"),
        ("new", "const x = new Foo(); x.go()", ":Foo go"),
        ("new of a module", "const x = new a.Foo<B>(1); x.go()", ":a.Foo go"),
        ("new of a variable", "function f(K) { new K().go() }", "? go"),
        ("made", "const x = make(); x.go()", "- make, make() go"),
        ("awaited", "async () => { const x = await a.make(); x.go() }", "a make, a.make() go"),
        ("chain", "a.b().c.d()", "a b, a.b().c d"),
        ("declared", "let x: Foo = make(); x = other(); x.go()", "- make, - other, :Foo go"),
        ("set later", "let x; x = new Foo(); x.go()", ":Foo go"),
        ("null first", "let x = null; x = new Foo(); x.go()", ":Foo go"),
        ("two things", "let x = new Foo(); x = new Bar(); x.go()", "? go"),
        ("set from within", "let x = new Foo(); function f() { x = a[0] } x.go()", "? go"),
        ("unpacked onto", "let x = new Foo(); [x] = f(); x.go()", "- f, ? go"),
        ("cast", "(x as Foo).go(); (<Foo>x).on(); (x satisfies Foo).by()", ":Foo go, :Foo on, x by"),
        ("both ways", "const x = a ? new Foo() : null; x.go()", ":Foo go"),
        ("either", "const x = a ? new Foo() : new Bar(); x.go()", "? go"),
        ("block", "const x = new Foo(); { const x = new Bar(); x.go() } x.go()", ":Bar go, :Foo go"),
        ("var of a function", "function f() { { var x = new Foo() } x.go() }", ":Foo go"),
        ("loop", "const x = new Foo(); for (const x of xs) { x.go() } x.on()", "? go, :Foo on"),
        ("loop of pairs", "for (const [x, y] of xs) y.go()", "? go"),
        ("catch", "try {} catch (e) { e.go() }", "? go"),
        (
            "import",
            "import a, { b as c } from 'm'; import * as n from 'n'\na.x(); c.y(); n.z()",
            "a x, c y, n z",
        ),
        ("require", "const m = require('m'), { k } = require('k'); m.go(); k.on()", "- require, m go, k on"),
        ("import of a promise", "const m = await import('m'); m.go()", "m go"),
        ("variable called", "function f(go) { go() }", "? go"),
        ("local function", "function f() { function go() {} go() }", "- go"),
        (
            "literals",
            "''.trim(); `a`.at(0); /a/.test(b); [].map(f)",
            ":String trim, :String at, :RegExp test, :Array map",
        ),
        ("index", "a[0].go()", "? go"),
        ("decorator", "@a.Deco() class C { @Dec m() {} }", "a Deco, - Dec"),
        ("namespace", "namespace N { export class C { m() { this.go() } } }", ":C go"),
    ],
    "javascript": [
        ("this", "class C { m() { this.go() } static s() { this.on() } }", ":C go, C on"),
        ("parameters", "function f(x, y = new Foo(), ...z) { x.a(); y.b(); z.c() }", "? a, ? b, ? c"),
        ("constructor", "const x = new Foo(); x.go()", ":Foo go"),
        ("of an old class", "C.prototype.m = function () { this.go() }", "? go"),
        ("element", "const x = new Foo(); <A b={() => x.go()} />", ":Foo go"),
    ],
    "tsx": [
        ("element", "const V = (p: Props) => <A b={() => p.go()} />", ":Props go"),
    ],
}

TYPES: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "python": [
        ("annotation", "class C:\n x: Foo", {"C.x": ":Foo"}),
        (
            "dataclass",
            "@dataclass\nclass C:\n x: Foo = field()\n y: list[int]",
            {"C.x": ":Foo", "C.y": ":list"},
        ),
        ("ClassVar", "class C:\n x: ClassVar['Foo | None'] = None", {"C.x": ":Foo"}),
        ("class attribute", "class C:\n x = Foo()", {"C.x": "Foo()"}),
        ("in __init__", "class C:\n def __init__(self): self.x = Foo()", {"C.x": "Foo()"}),
        ("in any method", "class C:\n def m(self): self.x = a.make(1)", {"C.x": "a.make()"}),
        ("annotated there", "class C:\n def m(self, x): self.x: Foo = x", {"C.x": ":Foo"}),
        (
            "from a parameter",
            "class C:\n def m(self, x: Foo, y): self.x, self.y = x, y",
            {"C.x": "?", "C.y": "?"},
        ),
        ("of a typed parameter", "class C:\n def m(self, x: Foo): self.x = x", {"C.x": ":Foo"}),
        ("of a bare parameter", "class C:\n def m(self, x): self.x = x", {"C.x": "?"}),
        ("twice the same", "class C:\n x = None\n def m(self): self.x = Foo()", {"C.x": "Foo()"}),
        ("two things", "class C:\n def m(self):\n  self.x = Foo()\n  self.x = Bar()", {"C.x": "?"}),
        ("declared and set", "class C:\n x: Foo\n def m(self, x): self.x = x", {"C.x": ":Foo"}),
        ("itself or new", "class C:\n def m(self): self.x = self.x or Foo()", {"C.x": "?"}),
        ("of another field", "class C:\n def m(self): self.x = self.y.z", {"C.x": ":C.y.z"}),
        ("own", "class C:\n def m(self): self.x = self", {"C.x": ":C"}),
        ("of the class", "class C:\n @classmethod\n def m(cls): cls.x = Foo()", {"C.x": "Foo()"}),
        ("property", "class C:\n @property\n def x(self) -> Foo: ...", {"C.x": ":Foo"}),
        (
            "cached property",
            "class C:\n @functools.cached_property\n def x(self) -> 'Foo': ...",
            {"C.x": ":Foo"},
        ),
        ("property of no type", "class C:\n @property\n def x(self): ...", {"C.x": "?"}),
        ("inner class", "class C:\n class D:\n  x: Foo", {"D.x": ":Foo"}),
        ("of something else", "class C:\n def m(self, o): o.x = Foo()", {}),
        ("method", "class C:\n def m(self) -> Foo: ...", {}),
        ("augmented", "class C:\n def m(self): self.x += 1", {"C.x": "?"}),
        ("module variable", "x = Foo()\ny: Bar = z()\nn = 1\nN = None", {"x": "Foo()", "y": ":Bar"}),
        ("two of one name", "if a:\n class C:\n  x: Foo\nelse:\n class C:\n  x: Bar", {"C.x": "?"}),
    ],
    "typescript": [
        ("field", "class C { x: Foo; #y?: Bar | null }", {"C.x": ":Foo", "C.#y": ":Bar"}),
        ("value", "class C { x = new Foo(); static y = a.make() }", {"C.x": ":Foo", "C.y": "a.make()"}),
        ("in the constructor", "class C { constructor() { this.x = new Foo() } }", {"C.x": ":Foo"}),
        (
            "parameter property",
            "class C { constructor(private x: Foo, readonly y?: Bar, z: Z) {} }",
            {"C.x": ":Foo", "C.y": ":Bar"},
        ),
        ("declared and set", "class C { x: Foo; m(x) { this.x = x } }", {"C.x": ":Foo"}),
        (
            "from a parameter",
            "class C { m(x: Foo, y) { this.x = x; this.y = y } }",
            {"C.x": ":Foo", "C.y": "?"},
        ),
        ("two things", "class C { x = new Foo(); m() { this.x = new Bar() } }", {"C.x": "?"}),
        ("getter", "class C { get x(): Foo { return 1 } get y() { return 1 } }", {"C.x": ":Foo", "C.y": "?"}),
        ("interface", "interface I { x: Foo; y?: a.Bar<B>; m(): Foo }", {"I.x": ":Foo", "I.y": ":a.Bar"}),
        ("type", "type T = { x: Foo }", {}),
        ("within a method", "class C { m() { type T = { x: Foo } } }", {}),
        ("function", "class C { f = () => 1; g = function () {} }", {}),
        (
            "module variable",
            "export const x = new Foo(), y: Bar = z(); let n = 1",
            {"x": ":Foo", "y": ":Bar"},
        ),
    ],
    "javascript": [
        ("field", "class C { x = new Foo(); #y = make() }", {"C.x": ":Foo", "C.#y": "make()"}),
        ("in a method", "class C { m() { this.x = new Foo(); this.n += 1 } }", {"C.x": ":Foo", "C.n": "?"}),
    ],
}


def show(found: Tags) -> str:
    calls = [
        (site.line, site.column, f"{site.receiver or '-'} {name}")
        for name, sites in found.references.items()
        for site in sites
        if site.kind == "call"
    ]
    return ", ".join(text for _, _, text in sorted(calls))


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        pytest.param(language, text, expected, id=f"{language}: {name}")
        for language, cases in CALLS.items()
        for name, text, expected in cases
    ],
)
def test_calls(language: str, text: str, expected: str) -> None:
    assert show(tags(text, language)) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        pytest.param(language, text, expected, id=f"{language}: {name}")
        for language, cases in TYPES.items()
        for name, text, expected in cases
    ],
)
def test_types_of_fields(language: str, text: str, expected: dict[str, str]) -> None:
    assert tags(text, language).types == expected


def test_within() -> None:
    """Which definition a reference stands in, by its number among those in order of place."""
    text = "a()\n@b\ndef f(): c()\nclass C:\n  x = d()\n  def m(self):\n    e()\n    def g(): h()\ni()\n"
    found = tags(text, "python")
    names = [tag.name for tag in by_place(found.definitions)]
    assert names == ["f", "C", "m", "g"]
    within = {name: site.within for name, (site,) in found.references.items()}
    assert {name: names[number] if number >= 0 else "" for name, number in within.items()} == {
        **dict.fromkeys("ai", ""),
        **dict.fromkeys("bc", "f"),
        "d": "C",
        "e": "m",
        "h": "g",
    }
