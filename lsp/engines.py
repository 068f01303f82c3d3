"""A model for whoever asks for a completion, the server or a command: embedded on this machine, or a server's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import msgspec

from lsp.completion import DEFAULT_BUDGET_TOKENS, Tokenizer
from lsp.settings import EngineSettings

if TYPE_CHECKING:
    from engine.endpoint import Endpoint
    from engine.hostfile import EngineInfo
    from engine.profiles import Choice, Device, Profile

START_TIMEOUT_S = 3600.0
"""The first start fetches half a gigabyte of weights; on a slow line that takes most of an hour."""

FOREIGN_BUDGET_TOKENS = 8_192
"""For a server that we know nothing about; GPU servers pre-fill this in a second or two."""

FOREIGN_SHARE = 0.85
"""Of a foreign model's window and budget is used where Qwen's tokenizer counts for its own: 15% is reserve."""

FOREIGN_COUNT_LIMIT = "this model's tokenizer is not known here: Qwen's counts for it, with a reserve of 15%"
ESTIMATE_LIMIT = "tokens are estimated at 3 bytes each, with a reserve of 15%"


class Engine(msgspec.Struct, frozen=True):
    """All that a completion needs of a model."""

    endpoint: Endpoint
    tokenizer: Tokenizer
    profile: Profile
    device: str
    budget_tokens: int
    why: str
    """Why this model."""
    url: str = ""
    pid: int | None = None
    """The host's process, for the embedded engine."""


class NoEngine(Exception):
    """There will be no completions; the message says why and what to do."""


def choose_profile(model: str) -> Choice:
    """The model asked for by name, or what fits this machine for `auto` or nothing. Blocks while the machine is
    measured. Raises ProfileError."""
    from engine.hostfile import foreword_version, living_infos
    from engine.profiles import choose, find, measure

    if model not in ("", "auto"):
        return choose(measure(), find(model))
    version = foreword_version()
    running: dict[str, Device] = {
        info.model: cast("Device", info.device)
        for info in living_infos()
        if info.version == version and info.state in ("downloading", "loading", "ready")
    }
    return choose(measure(), running=running)


def prompt_budget(profile: Profile, device: str) -> int:
    """Tokens of a whole prompt where no setting says otherwise."""
    return DEFAULT_BUDGET_TOKENS if device == "cpu" else profile.default_budget


async def embedded(choice: Choice, on_progress: Callable[[EngineInfo], None]) -> Engine:
    """The host of the chosen model, started if nobody has. Raises EngineError, WeightsError, TokenizerError and
    NoEngine where the engine is not installed."""
    from engine.launcher import ensure_engine

    if find_spec("sglang") is None:
        raise NoEngine(
            "the embedded engine is not installed. Install it with: pip install 'foreword[engine]' (Linux), "
            "or set foreword.engine.kind and foreword.engine.url to a server that runs a model"
        )
    info = await ensure_engine(choice.profile, on_progress=on_progress, timeout_s=START_TIMEOUT_S)
    return await asyncio.to_thread(_at_host, choice, info)


def _at_host(choice: Choice, info: EngineInfo) -> Engine:
    from engine.client import SGLangEndpoint
    from engine.tokens import ModelTokenizer
    from engine.weights import ensure_tokenizer

    profile = choice.profile
    endpoint = SGLangEndpoint(
        info.url,
        info.key,
        model=profile.short,
        context_tokens=info.context_tokens or profile.context_native,
        stop_ids=profile.stop_ids,
    )
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(profile))
    budget = prompt_budget(profile, info.device)
    return Engine(endpoint, tokenizer, profile, info.device, budget, choice.reason, info.url, info.pid)


def configured(settings: EngineSettings) -> Engine:
    """The engine of a configured server. Nothing is sent to it before the first completion; may block for seconds
    to fetch a tokenizer."""
    from engine.profiles import QWEN_SMALL, ProfileError, find

    try:
        profile, known = find(settings.model), True
    except ProfileError:
        profile, known = QWEN_SMALL, False  # the family whose layout most code models read
    return (
        _openai(settings, profile, known) if settings.kind == "openai" else _sglang(settings, profile, known)
    )


def _openai(settings: EngineSettings, profile: Profile, known: bool) -> Engine:
    """Text goes to this server, not ids: a tokenizer only counts, so another family's will do, with a reserve."""
    from engine.openai import OpenAIEndpoint
    from engine.tokenizer_file import tokenizer_for

    tokenizer, missing = tokenizer_for(profile)
    exact = known and not missing
    share = 1.0 if exact else FOREIGN_SHARE
    endpoint = OpenAIEndpoint(
        settings.url,
        settings.key,
        settings.model,
        context_tokens=int(settings.context_tokens * share),
        takes_suffix=settings.takes_suffix,
    )
    if not exact:
        endpoint.limits.append(f"{ESTIMATE_LIMIT}: {missing}" if missing else FOREIGN_COUNT_LIMIT)
    budget = int(FOREIGN_BUDGET_TOKENS * share)
    return Engine(endpoint, tokenizer, profile, "remote", budget, f"configured: {settings.url}", settings.url)


def _sglang(settings: EngineSettings, profile: Profile, known: bool) -> Engine:
    """Ids go to this server when the model is known, so that its prefix cache sees what ours would."""
    from engine.client import SGLangEndpoint
    from engine.tokenizer_file import tokenizer_for
    from engine.tokens import EstimateTokenizer

    endpoint = SGLangEndpoint(
        settings.url,
        settings.key,
        model=settings.model or "its model",
        context_tokens=settings.context_tokens,
        stop_ids=profile.stop_ids if known else (),
    )
    why_not = f"{settings.model or 'the model'} is none of the known models"
    tokenizer, missing = tokenizer_for(profile) if known else (EstimateTokenizer(), why_not)
    share = 1.0 if not missing else FOREIGN_SHARE
    if missing:
        endpoint.limits.append(f"{ESTIMATE_LIMIT}: {missing}")
    budget = int(FOREIGN_BUDGET_TOKENS * share)
    return Engine(endpoint, tokenizer, profile, "remote", budget, f"configured: {settings.url}", settings.url)
