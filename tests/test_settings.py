"""Settings: defaults, both sources, and what is said about a wrong value."""

from __future__ import annotations

from typing import Any

import pytest

from lsp.settings import EngineSettings, Settings, read_settings


@pytest.mark.parametrize("sources", [(), (None,), ({},), ({}, None), ({"foreword": {}},)])
def test_nothing_given_is_the_defaults(sources: tuple[Any, ...]) -> None:
    read = read_settings(*sources)
    assert (read.settings, read.complaints) == (Settings(), [])


@pytest.mark.parametrize(
    "given",
    [
        {"maxLines": 5, "engine": {"kind": "none", "takesSuffix": True}},
        {"max_lines": 5, "engine": {"kind": "none", "takes_suffix": True}},
        {"foreword": {"maxLines": 5, "engine": {"kind": "none", "takesSuffix": True}}},
    ],
)
def test_every_spelling(given: dict[str, Any]) -> None:
    wanted = Settings(max_lines=5, engine=EngineSettings(kind="none", takes_suffix=True))
    read = read_settings(given)
    assert (read.settings, read.complaints) == (wanted, [])


def test_the_later_source_wins_value_by_value() -> None:
    first = {"maxLines": 5, "engine": {"kind": "openai", "url": "http://one", "model": "m"}}
    later = {"foreword": {"engine": {"url": "http://two"}}}
    settings = read_settings(first, later).settings
    assert settings.max_lines == 5
    assert settings.engine == EngineSettings(kind="openai", url="http://two", model="m")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"maxLines": 0}, "foreword.maxLines cannot be 0"),
        ({"maxLines": "many"}, "foreword.maxLines cannot be 'many'"),
        ({"waitS": -1}, "foreword.waitS cannot be -1"),
        ({"budgetTokens": 1.5}, "foreword.budgetTokens cannot be 1.5"),
        ({"engine": {"kind": "magic"}}, "foreword.engine.kind cannot be 'magic'"),
        ({"engine": "fast"}, "foreword.engine cannot be 'fast'"),
        ({"engine": {"nonsense": 1}}, "foreword.engine.nonsense is no setting"),
        ({"nonsense": 1}, "foreword.nonsense is no setting"),
        ({"model": 7}, "foreword.model cannot be 7"),
        (["list"], "no object"),
    ],
)
def test_a_wrong_value_is_named_and_the_default_stands(given: Any, said: str) -> None:
    read = read_settings(given)
    assert read.settings == Settings()
    assert len(read.complaints) == 1
    assert said in read.complaints[0]


def test_the_right_values_beside_a_wrong_one_are_taken() -> None:
    settings = read_settings({"maxLines": 0, "waitS": 3, "engine": {"kind": "none", "key": 5}}).settings
    assert (settings.wait_s, settings.engine.kind) == (3, "none")


def test_a_wrong_key_is_not_repeated() -> None:
    read = read_settings({"engine": {"key": 123456789}})
    assert "123456789" not in read.complaints[0]


def test_a_server_without_url_means_no_completions() -> None:
    read = read_settings({"engine": {"kind": "openai"}})
    assert read.settings.engine.kind == "none"
    assert "foreword.engine.url is empty" in read.complaints[0]
