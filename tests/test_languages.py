"""Every language on realistic texts: `languages/<language>/` holds samples, each with what is found in it.

To add a sample, put the file there and run this: the failure shows what was found, in the form in which
`<sample>.expected` wants it. Read it against the sample, line by line, before pasting it.

    kind name container first-last | signature       one definition, lines counted from 1
        doc: …   bases: …   result: …                what else is known of it
    12: call add(:Graph.places), type Place          what line 12 refers to; in brackets the receiver
    Graph.places = :Index                            the type of an attribute
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.parsing.chunks import chunks
from indexer.parsing.facts import facts_of
from indexer.parsing.imports import imports
from indexer.parsing.languages import GRAMMARS, language_of, query_for
from indexer.parsing.macros import without_macros
from indexer.parsing.tags import Tag, Tags, tags

SAMPLES = Path(__file__).with_name("languages")
FILES = sorted(path for path in SAMPLES.glob("*/*") if path.suffix != ".expected")
NAMES = [f"{path.parent.name}/{path.name}" for path in FILES]
LANGUAGES = sorted({path.parent.name for path in FILES})
SECOND_CLASS = ["csharp", "kotlin", "lua", "php", "ruby", "scala", "shellscript", "swift"]
ELSEWHERE = {"python", "javascript", "typescript", "tsx"}
"""Tested in test_tags.py and test_receivers.py."""

sample = pytest.mark.parametrize("path", FILES, ids=NAMES)
whole_sample = pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem.lower() != "broken"], ids=lambda path: path.name
)
language_ = pytest.mark.parametrize("language", LANGUAGES)


def found_in(path: Path) -> Tags:
    found = tags(path.read_bytes(), path.parent.name)
    assert found.error == ""
    return found


def show(found: Tags) -> str:
    """Everything that was found, in the form of an `.expected` file."""
    lines = ["# Definitions", *(line for tag in found.definitions for line in show_definition(tag))]
    lines += ["", "# References", *show_references(found)]
    if found.types:
        lines += [
            "",
            "# Types of attributes",
            *(f"{name} = {path}" for name, path in sorted(found.types.items())),
        ]
    return "\n".join(lines) + "\n"


def show_definition(tag: Tag) -> list[str]:
    head = (
        f"{tag.kind} {tag.name} {tag.container or '-'} {tag.start_line + 1}-{tag.end_line} | {tag.signature}"
    )
    more = {"doc": tag.docstring, "bases": ", ".join(tag.bases), "result": tag.result}
    return [head, *(f"    {key}: {value}" for key, value in more.items() if value)]


def show_references(found: Tags) -> list[str]:
    rows: dict[int, list[tuple[int, str]]] = {}
    for name, sites in found.references.items():
        for site in sites:
            receiver = f"({site.receiver})" if site.receiver else ""
            rows.setdefault(site.line + 1, []).append((site.column, f"{site.kind} {name}{receiver}"))
    return [f"{line}: " + ", ".join(text for _, text in sorted(row)) for line, row in sorted(rows.items())]


@sample
def test_what_is_found(path: Path) -> None:
    expected = path.with_name(path.name + ".expected")
    assert show(found_in(path)) == (expected.read_text("utf-8") if expected.is_file() else "")


def test_every_language_has_samples() -> None:
    assert set(LANGUAGES) | ELSEWHERE == set(GRAMMARS)
    assert not set(LANGUAGES) & ELSEWHERE


@sample
def test_the_name_of_a_sample_says_its_language(path: Path) -> None:
    assert language_of(str(path)) == path.parent.name


@sample
def test_names_stand_where_they_are_said_to_stand(path: Path) -> None:
    check_places(path.read_text("utf-8"), found_in(path))


@sample
@settings(max_examples=15, deadline=None)
@given(
    place=st.floats(0, 1),
    lost=st.sampled_from([0, 1, 3, 30, 300]),
    typed=st.sampled_from(["", "(", "{", "[", '"', "'", "`", "/*", "<", ":", ".", "=", "\n", "é", "\0"]),
    whole=st.floats(0.1, 1),
)
def test_damaged_texts_are_read(path: Path, place: float, lost: int, typed: str, whole: float) -> None:
    text = path.read_text("utf-8")
    start = int(place * len(text))
    damaged = text[:start] + typed + text[start + lost :]
    damaged = damaged[: int(whole * len(damaged))]
    found = tags(damaged, path.parent.name)
    assert found.error == ""
    check_places(damaged, found)


def check_places(text: str, found: Tags) -> None:
    lines = text.split("\n")
    for tag in found.definitions:
        assert lines[tag.name_line][tag.name_column :].startswith(tag.name)
        assert tag.start_line <= tag.name_line < tag.end_line <= len(lines)
    for name, sites in found.references.items():
        for site in sites:
            assert lines[site.line][site.column :].startswith(name)


@sample
def test_references_know_the_definition_around_them(path: Path) -> None:
    found = found_in(path)
    for name, sites in found.references.items():
        for site in sites:
            around = [
                number
                for number, tag in enumerate(found.definitions)
                if tag.start_line < site.line < tag.end_line - 1  # lines that nothing else can share
            ]
            if around:
                within = found.definitions[site.within]
                assert site.within >= 0, name
                assert within.start_line <= site.line < within.end_line, name


@sample
def test_other_line_ends_change_nothing(path: Path) -> None:
    text = path.read_text("utf-8")
    assert show(tags(text.replace("\n", "\r\n"), path.parent.name)) == show(tags(text, path.parent.name))


@sample
def test_chunks_follow_the_definitions(path: Path) -> None:
    found, language = found_in(path), path.parent.name
    cut = chunks(path.read_text("utf-8"), found.definitions, language)
    kinds = {tag.kind for tag in found.definitions} | {"code"}
    assert {chunk.kind for chunk in cut} <= kinds  # `text` is for languages without a grammar
    for chunk in cut:
        if chunk.definition is not None:
            assert found.definitions[chunk.definition].name == chunk.symbol


@whole_sample
@pytest.mark.parametrize("share", [0.55, 0.8])
def test_half_a_text_has_definitions(path: Path, share: float) -> None:
    text = path.read_text("utf-8")
    found = tags(text[: int(len(text) * share)] + "\n)))] {{{ '", path.parent.name)
    assert found.error == ""
    assert found.definitions


@language_
@pytest.mark.parametrize("purpose", ["definitions", "references"])
def test_no_query_names_a_node_that_its_grammar_lacks(language: str, purpose: str) -> None:
    assert query_for(language, purpose).pattern_count > 0  # type: ignore[arg-type]


@pytest.mark.parametrize("language", SECOND_CLASS)
def test_languages_of_the_second_class_have_no_imports(language: str) -> None:
    for path in FILES:
        if path.parent.name == language:
            assert imports(path.read_bytes(), language) == []


@language_
@pytest.mark.parametrize(
    ("data", "skipped"),
    [
        (b"", ""),
        (b"\n", ""),
        (b"\xef\xbb\xbf", ""),
        (b"f\0oo()", "binary"),
        (b"x = '" + b"a" * 1_000_000 + b"'", "minified"),
        (b"f(x, g(y)); " * 90_000, "minified"),
        ("größe ".encode("latin-1"), "not UTF-8"),
    ],
    ids=["empty", "newline", "mark", "nul", "one-string", "one-line", "latin-1"],
)
def test_strange_texts_are_read_or_refused(language: str, data: bytes, skipped: str) -> None:
    facts = facts_of(data, language)
    assert facts.skipped.startswith(skipped)
    assert bool(facts.skipped) == bool(skipped)
    assert facts.definitions == []


@language_
@pytest.mark.parametrize("text", ["", "\0", "f\0(x)\n", "(" * 3_000, "f(x, g(y)); " * 3_000, "}" * 3_000])
def test_no_parser_fails(language: str, text: str) -> None:
    found = tags(text, language)
    assert found.definitions == []
    assert found.error == "" or "took longer than" in found.error


@pytest.mark.parametrize(
    ("language", "opening", "closing"),
    [
        ("csharp", "class A { ", "} "),
        ("kotlin", "class A {\n", "}\n"),
        ("lua", "function f() ", "end "),
        ("php", "<?php if (x) { f(); ", "} "),
        ("ruby", "module A\n", "end\n"),
        ("scala", "object A { ", "} "),
        ("shellscript", "f() {\n", "}\n"),
        ("swift", "class A { ", "} "),
    ],
)
def test_deep_nesting(language: str, opening: str, closing: str) -> None:
    assert tags(opening * 2_000 + closing * 2_000, language).error == ""


@pytest.mark.parametrize(
    ("language", "text", "read"),
    [
        ("cpp", "class A_EXPORT B : public C {", "class          B : public C {"),
        ("cpp", "class  A_API(2) B final {", "class           B final {"),
        ("cpp", "struct PACKED A::B<int> {", "struct        A::B<int> {"),
        ("cpp", "class ABC {", None),
        ("cpp", "enum class COLOUR : int {", None),
        ("cpp", "class ABC::D {", None),
        ("c", "struct STAT buf;", None),
        ("c", "struct STAT buf = {0};", None),
        ("c", "struct STAT f(void) {", None),
        ("c", "LUA_API int (f)(void);", "        int (f)(void);"),
        ("c", "extern A_DECL int x;\nB_FUNC void f();", "extern        int x;\n       void f();"),
        ("c", "HANDLE f(void);", None),
        ("c", "  x = A_API y;", None),
        ("java", "class A_EXPORT B {", None),
    ],
)
def test_macros_that_no_grammar_can_read_are_blanked(language: str, text: str, read: str | None) -> None:
    assert without_macros(text.encode(), language).decode() == (text if read is None else read)
