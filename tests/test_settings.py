"""Settings: defaults, both sources, and what is said about a wrong value."""

from __future__ import annotations

from typing import Any

import pytest

from lsp.settings import EditSettings, EngineSettings, Settings, read_settings, without_credentials


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


def test_a_window_is_for_an_embedded_model() -> None:
    read = read_settings({"engine": {"windowTokens": 65536}})
    assert (read.settings.engine.window_tokens, read.complaints) == (65536, [])
    server = {"kind": "sglang", "url": "http://one", "windowTokens": 65536}
    told = read_settings({"engine": server}).complaints
    assert len(told) == 1 and "foreword.engine.windowTokens is ignored" in told[0]
    assert read_settings({"engine": {"windowTokens": -1}}).settings == Settings()


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


# ---------------------------------------------------------------- several endpoints, and roles

ONE = {"kind": "openai", "url": "http://one", "model": "m"}
TWO = {"kind": "sglang", "url": "http://two", "first_text_s": 3}
FIRST = EngineSettings(kind="openai", url="http://one", model="m")
SECOND = EngineSettings(kind="sglang", url="http://two", first_text_s=3)


def test_fallbacks_and_engines_for_edits() -> None:
    given = {
        "engine": {**ONE, "fallbacks": [TWO, {"kind": "embedded"}]},
        "edit": {"engine": TWO, "large_engine": {**ONE, "fallbacks": [TWO]}, "smallLines": 9},
    }
    read = read_settings(given)
    with_fallbacks = EngineSettings(kind="openai", url="http://one", model="m", fallbacks=(SECOND,))
    assert read.complaints == []
    assert read.settings.engine.fallbacks == (SECOND, EngineSettings())
    assert read.settings.edit == EditSettings(engine=SECOND, large_engine=with_fallbacks, small_lines=9)


def test_roles_are_merged_value_by_value_and_lists_as_values() -> None:
    first = {"engine": {**ONE, "fallbacks": [TWO]}, "edit": {"engine": TWO}}
    later = {"engine": {"fallbacks": []}, "edit": {"engine": {"url": "http://three"}, "smallFiles": 2}}
    settings = read_settings(first, later).settings
    assert settings.engine == FIRST
    assert settings.edit.engine == EngineSettings(kind="sglang", url="http://three", first_text_s=3)
    assert settings.edit.small_files == 2


@pytest.mark.parametrize(
    ("given", "said", "engine"),
    [
        ({"engine": {**ONE, "fallbacks": "none"}}, "foreword.engine.fallbacks cannot be 'none'", FIRST),
        ({"engine": {**ONE, "fallbacks": {"url": 1}}}, "foreword.engine.fallbacks cannot be that", FIRST),
        ({"engine": {**ONE, "fallbacks": ["x"]}}, "foreword.engine.fallbacks[0] is no object", FIRST),
        ({"engine": {**ONE, "fallbacks": [{"kind": "sglang"}]}}, "fallbacks[0].url is empty", FIRST),
        ({"engine": {**ONE, "fallbacks": [{**ONE, "nonsense": 1}]}}, "fallbacks[0].nonsense is no", None),
        ({"engine": {**ONE, "fallbacks": [{**ONE, "fallbacks": [TWO]}]}}, "fallbacks[0].fallbacks", None),
        ({"engine": {"kind": "openai", "fallbacks": [TWO]}}, "foreword.engine.url is empty", SECOND),
        ({"engine": {**ONE, "api": "talk"}}, "foreword.engine.api cannot be 'talk'", FIRST),
        ({"engine": {**ONE, "firstTextS": 0}}, "foreword.engine.firstTextS cannot be 0", FIRST),
        ({"engine": ONE, "edit": {"engine": "fast"}}, "foreword.edit.engine cannot be 'fast'", FIRST),
        ({"engine": ONE, "edit": {"largeEngine": {"kind": "openai"}}}, "largeEngine.url is empty", FIRST),
        ({"engine": ONE, "edit": {"smallFiles": -1}}, "foreword.edit.smallFiles cannot be -1", FIRST),
        ({"engine": ONE, "edit": 3}, "foreword.edit cannot be that", FIRST),
    ],
)
def test_what_is_wrong_with_one_endpoint_leaves_the_others(
    given: dict[str, Any], said: str, engine: EngineSettings | None
) -> None:
    read = read_settings(given)
    assert len(read.complaints) == 1
    assert said in read.complaints[0]
    assert engine is None or read.settings.engine == engine
    assert read.settings.edit in (EditSettings(), EditSettings(engine=None))


@pytest.mark.parametrize(
    "given",
    [
        {"engine": {**ONE, "fallbacks": [{"key": 5, "url": "http://u:hidden@a"}]}},
        {"engine": {**ONE, "fallbacks": {"key": "hidden"}}},
        {"engine": {"kind": "openai", "url": "http://u:hidden@a"}},
        {"edit": ["hidden"]},
    ],
)
def test_what_may_be_secret_is_not_repeated(given: dict[str, Any]) -> None:
    read = read_settings(given)
    assert read.complaints
    assert "hidden" not in "".join(read.complaints)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://name:word@host:9/v1", "http://host:9/v1"),
        ("http://host/v1", "http://host/v1"),
        ("http://a@[::1", "[::1"),
        ("", ""),
    ],
)
def test_addresses_as_they_are_shown(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
