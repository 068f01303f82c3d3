"""A made repository: any number of plausible files in several languages, the same for the same seed.

Every file has a docstring, imports from files before it, a type with methods, functions that call what was
imported, and names put together from words, so that no two files are alike and search has something to tell apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.index.made_languages import LANGUAGES, Language
from benchmarks.index.made_words import AREAS, NOUNS, QUALITIES, ROLES, SENTENCES, VERBS

SEED = 20261122
_SEEDS_APART = 1_000_003
"""Files of two seeds have nothing in common: below it lies every number of a file."""
_MOST_IMPORTS = 4
_MOST_FUNCTIONS = 3
_MOST_METHODS = 3
_FEWEST_STATEMENTS, _MOST_STATEMENTS = 3, 8
_LARGEST_NUMBER = 997
_NEAR = 400
"""Imports come from files that are this near before: a repository is made of neighbourhoods."""
_TYPE_INDENT = {"py": "    ", "ts": "  ", "go": "", "java": "    ", "rs": "    ", "c": ""}
_INDENT = {"py": "    ", "ts": "  ", "go": "\t", "java": "    ", "rs": "    ", "c": "    "}
_TOLD_EVERY = 10_000


class Totals(msgspec.Struct, frozen=True):
    files: int
    bytes: int


class Identity(msgspec.Struct, frozen=True):
    """What other files know of a file."""

    language: Language
    area: str
    topic: str
    module: str
    type: str
    functions: tuple[str, ...]

    @property
    def path(self) -> str:
        name = self.type if self.language.extension == "java" else self.module
        return f"{self.area}/{self.topic}/{name}.{self.language.extension}"


def write(folder: Path, files: int, *, seed: int = SEED, told: Callable[[int], None] | None = None) -> Totals:
    """Writes files number 0 to `files` below `folder`; 50,000 take half a minute and 100 MB."""
    size = 0
    made: set[str] = set()
    for number in range(files):
        path, text = file(seed, number)
        target = folder / path
        parent = path.rpartition("/")[0]
        if parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(parent)
        data = text.encode()
        target.write_bytes(data)
        size += len(data)
        if told is not None and number % _TOLD_EVERY == _TOLD_EVERY - 1:
            told(number + 1)
    return Totals(files, size)


def file(seed: int, number: int) -> tuple[str, str]:
    """(path, text) of one file."""
    rng = random.Random(seed * _SEEDS_APART + number)
    own = _identity(rng, number)
    known = [_known(seed, rng, own, number) for _ in range(rng.randrange(_MOST_IMPORTS + 1))]
    imported = [each for each in dict.fromkeys(known) if each is not None]
    return own.path, _text(rng, own, imported)


def identity(seed: int, number: int) -> Identity:
    """What a file defines, without its text."""
    return _identity(random.Random(seed * _SEEDS_APART + number), number)


def _identity(rng: random.Random, number: int) -> Identity:
    share = rng.randrange(100)
    at = 0
    language = LANGUAGES[0]
    for language in LANGUAGES:
        at += language.share
        if share < at:
            break
    noun, topic = rng.choice(NOUNS), rng.choice(NOUNS)
    quality = rng.choice(QUALITIES)
    functions = tuple(_function(rng, language) for _ in range(rng.randrange(1, _MOST_FUNCTIONS + 1)))
    return Identity(
        language=language,
        area=rng.choice(AREAS),
        topic=topic,
        module=f"{quality}_{noun}_{number}",
        type=f"{quality.capitalize()}{noun.capitalize()}{rng.choice(ROLES)}{number}",
        functions=functions,
    )


def _function(rng: random.Random, language: Language) -> str:
    words = [rng.choice(VERBS), rng.choice(QUALITIES), rng.choice(NOUNS)]
    return _cased(words, language)


def _cased(words: Sequence[str], language: Language) -> str:
    if language.camel:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    return "_".join(words)


def _known(seed: int, rng: random.Random, own: Identity, number: int) -> Identity | None:
    """A file before this one in the same language, if one is found at the first few looks."""
    for _ in range(3):
        if number == 0:
            return None
        other = identity(seed, max(0, number - 1 - rng.randrange(min(number, _NEAR))))
        if other.language is own.language:
            return other
    return None


def _text(rng: random.Random, own: Identity, imported: list[Identity]) -> str:
    language = own.language
    where = {"area": own.area, "topic": own.topic, "module": own.module, "type": own.type}
    parts = [language.head.format(doc=_sentence(rng), **where)]
    parts += [
        language.imported.format(
            area=each.area, topic=each.topic, module=each.module, type=each.type, function=each.functions[0]
        )
        for each in imported
    ]
    if rng.random() < 0.5:
        constant = "_".join((rng.choice(QUALITIES), rng.choice(NOUNS))).upper()
        parts.append(language.constant.format(CONSTANT=constant, number=rng.randrange(_LARGEST_NUMBER)))
    parts += _type(rng, own, imported)
    if language.function:
        parts += [_method(rng, language.function, own, imported, name, "") for name in own.functions]
    return "".join(parts)


def _type(rng: random.Random, own: Identity, imported: list[Identity]) -> list[str]:
    """The file's type with its methods."""
    language = own.language
    opening = language.type_open.format(type=own.type, doc=_sentence(rng), **_values(rng, language))
    if not language.method:
        return [opening, language.type_close.format()]
    names = [_function(rng, language) for _ in range(rng.randrange(_MOST_METHODS + 1))]
    if not language.function:
        names = [*own.functions, *names]
    inner = _TYPE_INDENT[language.extension]
    methods = [_method(rng, language.method, own, imported, name, inner) for name in names]
    closing = language.type_close.format()
    if not language.type_outside:
        return [opening, *methods, closing]
    if language.extension == "rs" and methods:
        return [opening, closing, f"\nimpl {own.type} {{", *methods, "}\n"]
    return [opening, closing, *methods]


def _method(
    rng: random.Random, template: str, own: Identity, imported: list[Identity], name: str, indent: str
) -> str:
    language = own.language
    values = _values(rng, language)
    return template.format(
        type=own.type,
        function=name,
        doc=_sentence(rng),
        body=_body(rng, language, imported, values, indent),
        **values,
    )


def _body(
    rng: random.Random, language: Language, imported: list[Identity], values: dict[str, object], indent: str
) -> str:
    own = indent + _INDENT[language.extension]
    statements: list[str] = []
    for _ in range(rng.randrange(_FEWEST_STATEMENTS, _MOST_STATEMENTS + 1)):
        template = rng.choice(language.statements)
        if "{call}" in template:
            if not imported:
                continue
            called = rng.choice(imported)
            name = rng.choice(called.functions)
            call = language.call.format(function=name, **values)
            more = {"call": call, "module": called.module, "imported_type": called.type}
        else:
            more = {}
        number = rng.randrange(2, _LARGEST_NUMBER)
        statements.append(template.format(**{**values, **more, "number": number, "text": _phrase(rng)}))
    statements.append(language.result.format(**values))
    return "".join(f"{own}{line}\n" for statement in statements for line in statement.splitlines())


def _values(rng: random.Random, language: Language) -> dict[str, object]:
    """Two names and a number."""
    value, other = rng.sample(NOUNS, 2)
    return {
        "value": _cased((rng.choice(QUALITIES), value), language),
        "other": _cased((other, "names"), language),
        "number": rng.randrange(2, _LARGEST_NUMBER),
        "text": _phrase(rng),
    }


def _phrase(rng: random.Random) -> str:
    return f"{rng.choice(VERBS)} {rng.choice(QUALITIES)} {rng.choice(NOUNS)}"


def _sentence(rng: random.Random) -> str:
    return rng.choice(SENTENCES).format(
        verb=rng.choice(VERBS).capitalize(),
        quality=rng.choice(QUALITIES),
        noun=rng.choice(NOUNS),
        other=rng.choice(NOUNS),
        third=rng.choice(NOUNS),
        number=rng.randrange(2, _LARGEST_NUMBER),
    )
