"""Blocks become texts at exactly one place each, or nothing changes and every reason is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.editing.blocks import Create, Delete, Lines, Rename, Replace, Search, numbered
from lsp.edits import files
from lsp.edits.applying import Applied, Refused, apply
from lsp.edits.files import SourceFile
from lsp.edits.lines import Edit, edited, joined, split

TEXT = """\
class Basket:
    def add(self, item):
        self.items.append(item)
        self.total += item.price

    def remove(self, item):
        self.items.remove(item)
        self.total -= item.price

    def clear(self):
        self.items = []
        self.total = 0
"""


def applied(blocks, text=TEXT, path="shop.py", **known):
    return apply(blocks, {path: SourceFile(path, text, **known)})


def text_of(result, path="shop.py") -> str:
    assert isinstance(result, Applied), result
    return next(change.after for change in result.changes if change.new_path == path)


def reasons(result) -> str:
    assert isinstance(result, Refused), result
    return "; ".join(each.reason for each in result.refusals)


def how(result) -> list[str]:
    return [placement.how for placement in result.placements]


def search(old: str, new: str) -> Replace:
    return Replace("shop.py", Search(old), new)


ADD = "        self.items.append(item)\n        self.total += item.price\n"
COUNTED = "        self.items.append(item)\n        self.count += 1\n        self.total += item.price\n"
WANTED = TEXT.replace(ADD, COUNTED)
LESS = TEXT.replace("        self.items = []\n", "")
CLEAR = "    def clear(self):\n        self.items = []\n        self.total = 0\n"


def numbers(text: str) -> str:
    return "3|" + text.replace("\n ", "\n4| ")


FITTING = {
    "as it stands": (search(ADD, COUNTED), WANTED, "exact"),
    "without its indent": (
        search(
            "self.items.append(item)\nself.total += item.price\n",
            "self.items.append(item)\nself.count += 1\nself.total += item.price\n",
        ),
        WANTED,
        "whitespace",
    ),
    "with tabs": (search(ADD.replace("    ", "\t"), COUNTED.replace("    ", "\t")), WANTED, "whitespace"),
    "with blanks within": (search(ADD.replace("+=", " +="), COUNTED.replace("l +=", "l  +=")), WANTED, "whitespace"),
    "with line numbers": (search(numbers(ADD), numbers(COUNTED)), WANTED, "stripped"),
    "with a fence": (search(f"```python\n{ADD}```\n", f"```python\n{COUNTED}```\n"), WANTED, "stripped"),
    "with dots in both": (
        search(
            "    def add(self, item):\n        ...\n        self.items.remove(item)\n",
            "    def add(self, item):\n        ...\n        self.items.discard(item)\n",
        ),
        TEXT.replace("items.remove(", "items.discard("),
        "stripped",
    ),
    "with a wrong word beside what changes": (
        search(
            "    def empty(self):\n        self.items = []\n        self.total = 0\n",
            "    def empty(self):\n        self.items = []\n        self.total = None\n",
        ),
        TEXT.replace("total = 0", "total = None"),
        "similar",
    ),
    "with a line less": (
        search(LESS, LESS.replace("Basket", "Cart")),
        TEXT.replace("Basket", "Cart"),
        "similar",
    ),
    "by number": (Replace("shop.py", Lines(3, 4), COUNTED), WANTED, "numbered"),
    "by number, copied": (Replace("shop.py", Lines(3, 4, ADD), COUNTED), WANTED, "numbered"),
    "by number, copied with numbers": (
        Replace("shop.py", Lines(3, 4, "3|" + ADD.replace("\n ", "\n4| ")), COUNTED),
        WANTED,
        "numbered",
    ),
    "by number, with numbers before the new lines": (
        Replace("shop.py", Lines(3, 4, numbered(ADD, 3)), numbered(COUNTED, 3)),
        WANTED,
        "numbered",
    ),
    "behind a line": (Replace("shop.py", Lines(4, 3), "        self.count += 1\n"), WANTED, "numbered"),
    "nothing instead": (search(CLEAR, ""), TEXT.replace(CLEAR, ""), "exact"),
}  # fmt: skip


@pytest.mark.parametrize(("block", "wanted", "way"), FITTING.values(), ids=FITTING.keys())
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_fits_once_is_applied(block, wanted, way, end):
    result = applied([block], TEXT.replace("\n", end))
    assert text_of(result) == wanted.replace("\n", end)
    assert how(result) == [way]


NUMBERS = {
    "keys": ("names = {\n    # none\n}\n", Lines(2, 2), '    1: "one",\n', 'names = {\n    1: "one",\n}\n'),
    "keys beside keys": ("1: a\n2: b\n3: c\n", Lines(2, 2, "2: b\n"), "2: z\n", "1: a\n2: z\n3: c\n"),
    "keys behind keys": ("1: a\n2: b\n", Lines(3, 2), "3: c\n4: d\n", "1: a\n2: b\n3: c\n4: d\n"),
    "columns": ("id|name\n", Lines(2, 1), "7|seven\n8|eight\n", "id|name\n7|seven\n8|eight\n"),
}


@pytest.mark.parametrize(("before", "anchor", "new", "after"), NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_that_are_part_of_a_text_stay(before, anchor, new, after):
    assert text_of(applied([Replace("a.txt", anchor, new)], before, "a.txt"), "a.txt") == after


LAZY = "    def add(self, item):\n        # ... existing code ...\n        self.count += 1\n"


@pytest.mark.parametrize(
    "anchor", [Search("    def add(self, item):\n" + ADD), Lines(2, 4)], ids=["search", "lines"]
)
def test_a_comment_in_place_of_lines_loses_none(anchor):
    block = Replace("shop.py", anchor, LAZY)
    assert "lines that would be lost" in reasons(applied([block]))
    kept = TEXT.replace("    def clear", "    # ... existing code ...\n    def clear")
    assert "# ... existing code" in text_of(applied([block], kept))


MISFITS = {
    "nowhere": (search("self.refund(item.price)\n", ""), "stands nowhere"),
    "twice": (search("    def add(self, item):\n", "    def add(self):\n"), "2 times"),
    "twice but for white space": (search("def  add(self, item):\n", ""), "3 times"),
    "too short to be sure": (search("x=1\n", ""), "other white space only, and is too short"),
    "indented otherwise in itself": (
        search("self.items.append(item)\n    self.total += item.price\n", "self.items.append(item)\n    x()\n"),
        "indented otherwise in itself",
    ),
    "a wrong word where it changes": (
        search(
            "    def clear(self):\n        self.items = []\n        self.sum = 0\n",
            "    def clear(self):\n        self.items = []\n        pass\n        return None\n",
        ),
        "differs just where it is to change",
    ),
    "two places nearly as near": (
        search(
            "    def push(self, item):\n        self.items.push(item)\n        self.total += item.price\n",
            "    def push(self, item):\n        self.items.push(item)\n",
        ),
        "two places are nearly as near",
    ),
    "dots for lines that go": (
        search("    def clear(self):\n        ...\n        self.total = 0\n", "    def clear(self): pass\n"),
        "not in the replacement too",
    ),
    "an empty text": (search("", "x = 1\n"), "an empty text stands nowhere"),
    "blank lines": (search("\n", "\n\n"), "times"),
    "lines behind the end": (Replace("shop.py", Lines(12, 40), ""), "the file has 18"),
    "lines that were not shown": (Replace("shop.py", Lines(9, 10), ""), "not among those that were shown"),
    "other lines copied": (Replace("shop.py", Lines(2, 4, CLEAR), ""), "others were copied"),
    "no such file": (Replace("other.py", Search("x\n"), ""), "not among the files"),
}  # fmt: skip

TWICE = TEXT + "\n\ndef add(self, item):\n    x = 1\n"
TWICE = TWICE.replace("\n\n\ndef add", "\n    def add(self, item):\n        pass\n\n\ndef add")


@pytest.mark.parametrize(("block", "reason"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_once_is_refused(block, reason):
    assert reason in reasons(applied([block], TWICE, shown=((1, 8), (11, 17))))


def test_a_misfit_shows_the_nearest_lines():
    result = applied([search("    def remove(self, thing):\n        self.items.delete(thing)\n", "")])
    assert isinstance(result, Refused)
    nearest = result.refusals[0].nearest[0]
    assert (nearest.first, nearest.last) == (6, 7)
    assert nearest.text.splitlines() == TEXT.splitlines()[nearest.text_first - 1 :][:6]


# ---------------------------------------------------------------- several blocks

CLASHES = {
    "the same twice": ([search(ADD, COUNTED)] * 2, "the same is changed by two blocks"),
    "overlapping lines": (
        [
            Replace("shop.py", Lines(2, 4), "    def add(self): pass\n"),
            Replace("shop.py", Lines(4, 4), "x\n"),
        ],
        "the same lines are changed",
    ),
    "two at one place": (
        [Replace("shop.py", Lines(5, 4), "    # a\n"), Replace("shop.py", Lines(5, 4), "    # b\n")],
        "the same lines are changed",
    ),
    "created twice": ([Create("a.py", ""), Create("./a.py", "x = 1\n")], "is created twice"),
    "deleted and changed": (
        [Delete("shop.py"), search(ADD, COUNTED)],
        "is created or deleted, and changed besides",
    ),
    "deleted and renamed": ([Delete("shop.py"), Rename("shop.py", "b.py")], "deleted or renamed twice"),
    "two that differ in case": (
        [Create("docs/A.py", "x = 1\n"), Create("Docs/a.py", "x = 2\n")],
        "is what two files are to be",
    ),
    "renamed to what differs in case": (
        [Create("a.py", "x = 1\n"), Rename("shop.py", "A.py")],
        "is what two files are to be",
    ),
    "written in two ways": (
        [Create("\u00e9.py", "x = 1\n"), Create("e\u0301.py", "x = 2\n")],
        "is what two files are to be",
    ),
    "a file that is a folder": ([Create("a", "x\n"), Create("a/b", "x\n")], "is to be a file and a folder"),
    "two to one path": (
        [Create("a.py", "x = 1\n"), Rename("shop.py", "a.py")],
        "is what two files are to be",
    ),
}


@pytest.mark.parametrize(("blocks", "reason"), CLASHES.values(), ids=CLASHES.keys())
def test_blocks_that_clash_are_refused_and_both_named(blocks, reason):
    result = applied(blocks)
    assert reason in reasons(result)
    assert (0, 1) in [each.blocks for each in result.refusals]


def test_hunks_may_share_the_lines_that_they_leave_alone():
    first = search(
        "    def add(self, item):\n        self.items.append(item)\n",
        "    def add(self, item, n=1):\n        self.items.append(item)\n",
    )
    second = search(ADD, COUNTED)
    assert text_of(applied([first, second])) == WANTED.replace(
        "def add(self, item):", "def add(self, item, n=1):"
    )


def test_one_misfit_changes_nothing():
    blocks = [search(ADD, COUNTED), search("nowhere at all\n", "x\n"), Create("a.py", "x = 1\n")]
    result = applied(blocks)
    assert isinstance(result, Refused)
    assert [each.blocks for each in result.refusals] == [(1,)]


def test_files_are_created_deleted_and_renamed():
    sent = {name: SourceFile(name, "x = 1\n") for name in ("a.py", "b.py", "c.py")}
    blocks = [
        Create("new/d.py", "y = 2\n"),
        Delete("a.py"),
        Rename("b.py", "e.py"),
        Replace("e.py", Search("x = 1\n"), "x = 2\n"),
    ]
    result = apply(blocks, sent)
    assert isinstance(result, Applied)
    told = [
        (change.path, change.new_path, change.before is not None, change.after) for change in result.changes
    ]
    assert told == [
        ("a.py", "a.py", True, None),
        ("b.py", "e.py", True, "x = 2\n"),
        ("new/d.py", "new/d.py", False, "y = 2\n"),
    ]


@pytest.mark.parametrize(
    "blocks", [[Create("shop.py", "")], [Rename("other.py", "shop.py")]], ids=["create", "rename"]
)
def test_a_file_that_is_there_is_not_overwritten(blocks):
    sent = {"shop.py": SourceFile("shop.py", TEXT), "other.py": SourceFile("other.py", "")}
    assert "is there already" in reasons(apply(blocks, sent))


@pytest.mark.parametrize("text", ["a\0b\n", "half \ud83d\n"], ids=["NUL", "half of a character"])
def test_what_no_text_can_hold_is_refused(text):
    for block in (Create("a.txt", text), search(ADD, text)):
        assert "which no text holds" in reasons(applied([block]))


def test_an_answer_that_changes_nothing_is_refused():
    assert "nothing in the files would change" in reasons(applied([search(ADD, ADD)]))


def test_a_rule_for_paths_is_asked_about_every_block():
    sent = {"shop.py": SourceFile("shop.py", TEXT)}
    result = apply(
        [Delete("shop.py"), Create("x", "")],
        sent,
        lambda block: f"no {block.path}" if block.path == "x" else None,
    )
    assert isinstance(result, Refused)
    assert [(each.reason, each.blocks) for each in result.refusals] == [("no x", (1,))]


# ---------------------------------------------------------------- ends, marks, bytes

ENDS = {
    "missing final newline kept": ("a\nb", search("b\n", "c\n"), "a\nc"),
    "missing final newline kept behind new lines": (
        "a\nb",
        Replace("shop.py", Lines(3, 2), "c\n"),
        "a\nb\nc",
    ),
    "final newline added": ("a\nb", search("b", "b\n"), "a\nb\n"),
    "final newline taken away": ("a\nb\n", search("b\n", "b"), "a\nb"),
    "not where it is not the end": ("a\nb\n", search("a\n", "c"), "c\nb\n"),
    "mixed ends kept": ("a\r\nb\nc\r\n", search("b\n", "x\ny\n"), "a\r\nx\ny\nc\r\n"),
    "new lines end as the one before": ("a\r\nb\n", Replace("shop.py", Lines(2, 1), "x\n"), "a\r\nx\r\nb\n"),
    "an empty file": ("", search("", "x\n"), "x\n"),
    "all of it": ("a\n", search("a\n", ""), ""),
    "a line separator is no line end": (
        "a\u2028b\nc\n",
        Replace("shop.py", Lines(2, 2), "d\n"),
        "a\u2028b\nd\n",
    ),
}


@pytest.mark.parametrize(("before", "block", "after"), ENDS.values(), ids=ENDS.keys())
def test_line_ends_stay_as_they_are(before, block, after):
    block = Replace("shop.txt", block.anchor, block.replacement)
    assert text_of(applied([block], before, "shop.txt"), "shop.txt") == after


def test_tabs_of_the_file_are_used():
    go = "func f() {\n\tif a {\n\t\tb(one, two)\n\t}\n}\n"
    block = Replace(
        "f.go", Search("    if a {\n        b(one, two)\n"), "    if a {\n        b(one, two)\n        c()\n"
    )
    assert text_of(applied([block], go, "f.go"), "f.go") == go.replace("two)\n", "two)\n\t\tc()\n")


def test_a_byte_order_mark_stays_and_other_encodings_are_refused(tmp_path):
    (tmp_path / "a.cs").write_bytes(b"\xef\xbb\xbfclass A {}\r\n")
    (tmp_path / "b.c").write_bytes("// größer\n".encode("latin-1"))
    (tmp_path / "c.bin").write_bytes(b"\0\1")
    file = files.read(tmp_path, "a.cs")
    assert isinstance(file, SourceFile)
    result = apply([Replace("a.cs", Search("class A {}\n"), "class B {}\n")], {"a.cs": file})
    assert files.encoded(file, text_of(result, "a.cs")) == b"\xef\xbb\xbfclass B {}\r\n"
    assert files.read(tmp_path, "b.c") == "b.c is not UTF-8"
    assert files.read(tmp_path, "c.bin") == "c.bin is binary"
    assert "cannot be read" in str(files.read(tmp_path, "gone.c"))


# ---------------------------------------------------------------- syntax

SYNTAX = {
    "a new error": ([search(ADD, ADD.replace("item)", "item"))], TEXT, "adds a syntax error (python, line 3"),
    "an error in a new file": ([Create("a.py", "def f(:\n")], TEXT, "adds a syntax error (python, line 1"),
    "one more error": (
        [search("        self.total = 0\n", "        self.total = (\n")],
        TEXT + "def broken(:\n",
        "adds",
    ),
}


@pytest.mark.parametrize(("blocks", "text", "reason"), SYNTAX.values(), ids=SYNTAX.keys())
def test_no_syntax_error_is_added(blocks, text, reason):
    assert reason in reasons(applied(blocks, text))


def test_an_error_is_not_paid_for_by_others_that_go():
    broken = "def f(:\n    pass\n\n\ndef g(:\n    pass\n\n\ny = (1)\n"
    mended = [search("def f(:\n", "def f():\n"), search("def g(:\n", "def g():\n")]
    assert isinstance(applied(mended, broken), Applied)
    assert "adds a syntax error" in reasons(applied([*mended, search("y = (1)\n", "y = (1\n")], broken))


def test_errors_that_are_there_may_stay_and_go():
    broken = TEXT + "\n\ndef broken(:\n    pass\n"
    assert text_of(applied([search(ADD, COUNTED)], broken)) == WANTED + "\n\ndef broken(:\n    pass\n"
    assert text_of(applied([search("def broken(:\n", "def broken():\n")], broken)).endswith(
        "def broken():\n    pass\n"
    )


def test_where_syntax_cannot_be_checked_it_is_said():
    result = apply(
        [Replace("a.kt", Search("fun f() {}\n"), "fun g() {}\n")],
        {"a.kt": SourceFile("a.kt", "fun f() {}\n")},
    )
    assert isinstance(result, Applied)
    assert result.notes == ("a.kt: syntax not checked, for kotlin there is no sure grammar",)


# ---------------------------------------------------------------- any texts

LINE = st.sampled_from(["a", "b", "  a", "\tb", "}", "", "x = 1", "ä𝒳"])


@st.composite
def hunks(draw):
    """A text of lines of which none is there twice, and replacements of some runs of them."""
    lines = [f"{number} {draw(LINE)}" for number in range(draw(st.integers(1, 12)))]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    cuts = sorted(draw(st.sets(st.integers(0, len(lines)), max_size=6)))
    runs = [(start, stop) for start, stop in zip(cuts[::2], cuts[1::2], strict=False) if start < stop]
    new = [tuple(draw(st.lists(LINE, max_size=3))) for _ in runs]
    return (
        lines,
        end,
        list(zip(runs, new, strict=True)),
        draw(st.booleans()),
        draw(st.permutations(range(len(runs)))),
    )


@given(hunks())
@settings(max_examples=100, deadline=None)
def test_hunks_that_keep_apart_are_what_direct_replacement_gives(case):
    lines, end, wanted, numbered, order = case
    text = "".join(f"{line}{end}" for line in lines)
    result_lines = list(lines)
    for (start, stop), new in reversed(wanted):
        result_lines[start:stop] = new
    expected = "".join(f"{line}{end}" for line in result_lines)
    blocks = []
    for at in order:
        (start, stop), new = wanted[at]
        old = "".join(f"{line}\n" for line in lines[start:stop])
        anchor = Lines(start + 1, stop) if numbered else Search(old)
        blocks.append(Replace("a.txt", anchor, "".join(f"{line}\n" for line in new)))
    result = apply(blocks, {"a.txt": SourceFile("a.txt", text)})
    if expected == text:
        assert isinstance(result, Refused)
    else:
        assert text_of(result, "a.txt") == expected


@given(st.text(alphabet="ab\r\n\u2028\x0c", max_size=30))
def test_lines_and_their_ends_are_the_whole_text(text):
    assert joined(split(text)) == text
    assert joined(edited(split(text), [])) == text
    assert joined(edited(split(text), [Edit(0, 0, ())])) == text


# ---------------------------------------------------------------- large and repetitive texts


def test_lines_that_repeat_themselves_are_found_in_one_pass():
    text = "x\n" * 20_000 + "y\n" + "x\n" * 5_000
    files = {"a.txt": SourceFile("a.txt", text)}
    assert "times, from lines 1, 2, 3" in reasons(apply([Replace("a.txt", Search("x\n" * 600), "")], files))
    result = apply([Replace("a.txt", Search("x\n" * 600 + "y\nx\n"), "x\n" * 600 + "z\nx\n")], files)
    assert text_of(result, "a.txt") == text.replace("y", "z")


def test_a_place_that_begins_within_a_false_start_is_found():
    text = "a\nb\n" * 1_000 + "a\nb\na\nc\n"
    result = apply([Replace("a.txt", Search("a\nb\na\nc\n"), "d\n")], {"a.txt": SourceFile("a.txt", text)})
    assert text_of(result, "a.txt") == "a\nb\n" * 1_000 + "d\n"


def test_a_long_copy_with_a_wrong_word_is_found_among_long_ones():
    def part(name: str) -> str:
        return f"class {name}:\n" + "".join(
            f"    def {name}_{at}(self, one, two):\n        return {at}\n" for at in range(80)
        )

    text = "\n\n".join(map(part, ("first", "second", "third")))
    copy = part("second").replace("return 40\n", "return 41\n")
    result = apply(
        [Replace("a.py", Search(copy), copy.replace("return 70", "return 71"))],
        {"a.py": SourceFile("a.py", text)},
    )
    assert text_of(result, "a.py") == text.replace(
        part("second"), part("second").replace("return 70", "return 71")
    )
    assert how(result) == ["similar"]
