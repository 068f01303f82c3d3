"""Every prompt, laid out for the prefix cache: what is volatile stands behind all that is stable."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from test_prompts import QWEN, SMOLLM, tokenizer_of

from engine.models.catalogue import ROWS
from engine.prompts import ContextSegment, Prompt, completion_prompt, front_ids, relaid

WITHOUT_FIM = msgspec.structs.replace(QWEN, fim=None)
KINDS = [
    pytest.param(QWEN, id="qwen, fill in the middle"),
    pytest.param(WITHOUT_FIM, id="qwen, left to right"),
    pytest.param(SMOLLM, id="smollm, left to right"),
]

BASE = (
    ContextSegment("app/core.py", "class Core:\n    def run(self):\n        return 1\n"),
    ContextSegment("app/names.py", "NAMES = [\n    'a',\n\n    'b',\n]\n"),
)
OVERLAY = (ContextSegment("app/edited.py", "def edited():\n    return 2\n"),)
RETRIEVED = (ContextSegment("app/found.py", "    def found(self):\n        return 3\n"),)
BEFORE = "import os\n\n\ndef main():\n    core = Core()\n    "
AFTER = "\n    return core\n"

LAYERS = {
    "overlay": dict(
        segments=(*BASE, ContextSegment("app/edited.py", "def edited():\n    return 5\n"), *RETRIEVED)
    ),
    "retrieved": dict(segments=(*BASE, *OVERLAY, ContextSegment("app/other.py", "OTHER = 1\n"))),
    "path": dict(path="app/other.py"),
    "window": dict(before=BEFORE + "core."),
    "suffix": dict(after="\n    print(core)\n"),
}
"""From what changes least to what changes at each keystroke: how a prompt changes with each."""


def prompt(profile, **changes) -> Prompt:
    told = (
        dict(segments=(*BASE, *OVERLAY, *RETRIEVED), path="app/main.py", before=BEFORE, after=AFTER) | changes
    )
    return completion_prompt(
        profile=profile,
        tokenizer=tokenizer_of(QWEN.short if profile is WITHOUT_FIM else profile.short),
        repo_name="shop",
        max_window_tokens=256,
        max_suffix_tokens=64,
        **told,
    )


def common(one: list[int], other: list[int]) -> int:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


def stable(profile, segments) -> list[int]:
    tokenizer = tokenizer_of(QWEN.short if profile is WITHOUT_FIM else profile.short)
    return front_ids(profile, tokenizer, "shop", segments)


@pytest.mark.parametrize("profile", KINDS)
@pytest.mark.parametrize(
    ("changed", "front"),
    [
        ("overlay", BASE),
        ("retrieved", (*BASE, *OVERLAY)),
        ("path", (*BASE, *OVERLAY, *RETRIEVED)),
        ("window", (*BASE, *OVERLAY, *RETRIEVED)),
        ("suffix", (*BASE, *OVERLAY, *RETRIEVED)),
    ],
)
def test_what_changes_leaves_all_before_it_as_it_was(profile, changed, front):
    one, other = prompt(profile), prompt(profile, **LAYERS[changed])
    before = stable(profile, front)
    assert one.ids is not None and other.ids is not None
    assert one.ids[: len(before)] == other.ids[: len(before)] == before
    if changed == "suffix" and profile.fim is None:
        assert one.ids == other.ids, "it is not read"
    else:
        assert one.ids != other.ids


@pytest.mark.parametrize("profile", KINDS)
def test_every_layer_costs_more_than_the_one_behind_it(profile):
    """The share of a prompt that stays is the larger, the more volatile what has changed is."""
    whole = prompt(profile).ids
    kept = [
        common(whole, prompt(profile, **LAYERS[name]).ids)
        for name in ("overlay", "retrieved", "path", "window")
    ]
    assert kept == sorted(kept) and len(set(kept)) == len(kept)
    if profile.fim is not None:
        assert common(whole, prompt(profile, **LAYERS["suffix"]).ids) > kept[-1] - 8


@pytest.mark.parametrize("profile", KINDS)
def test_typing_leaves_all_but_the_end(profile):
    """Each keystroke keeps the window up to it, which keeps everything before the window."""
    typed = "core.run("
    ids = [prompt(profile, before=BEFORE + typed[:count]).ids for count in range(1, len(typed))]
    front = len(stable(profile, (*BASE, *OVERLAY, *RETRIEVED)))
    for one, other in itertools.pairwise(ids):
        assert common(one, other) >= front + 8


@pytest.mark.parametrize("profile", [QWEN, WITHOUT_FIM], ids=["fill in the middle", "left to right"])
def test_the_ids_of_the_parts_are_those_of_the_whole(profile):
    made = prompt(profile)
    whole = tokenizer_of(QWEN.short)._full.encode(made.text, add_special_tokens=False).ids
    assert made.ids == whole


@pytest.mark.parametrize("profile", KINDS)
def test_given_ids_and_encoded_text_make_the_same_prompt(profile):
    tokenizer = tokenizer_of(QWEN.short if profile is WITHOUT_FIM else profile.short)
    counted = [
        ContextSegment(one.path, one.text, tokenizer.encode(one.text))
        for one in (*BASE, *OVERLAY, *RETRIEVED)
    ]
    assert prompt(profile, segments=counted).ids == prompt(profile).ids


def test_a_prompt_for_another_model_keeps_the_order():
    made = prompt(QWEN)
    other = relaid(made, SMOLLM, tokenizer_of(SMOLLM.short), 10_000)
    places = [other.text.index(one.text) for one in (*BASE, *OVERLAY, *RETRIEVED)]
    assert places == sorted(places)


def test_every_family_of_the_catalogue_is_among_the_kinds():
    assert {one.family for one in ROWS} <= {kind.values[0].family for kind in KINDS}
