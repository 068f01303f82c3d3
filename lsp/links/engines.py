"""A model for whoever asks for a completion, the server or a command: embedded on this machine, or a server's."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import msgspec

from lsp.completion import DEFAULT_BUDGET_TOKENS, Tokenizer
from lsp.links.budget import prior
from lsp.settings import EngineSettings

if TYPE_CHECKING:
    from engine.endpoints.client import SGLangEndpoint
    from engine.endpoints.endpoint import Endpoint
    from engine.hosting.hostfile import EngineInfo
    from engine.profiles import Choice, Device, Profile

START_TIMEOUT_S = 3600.0
"""The first start fetches half a gigabyte of weights; on a slow line that takes most of an hour."""


WORKSPACE_SECRET = secrets.token_bytes(32)
"""Of this process alone: whoever sees a workspace's name cannot find its folders by trying."""


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
    lasting: bool = False
    """Its endpoint finds its own way back after a fault; there is nothing to set up anew."""


class NoEngine(Exception):
    """There will be no completions; the message says why and what to do."""


def choose_profile(model: str) -> Choice:
    """The model asked for by name, or what fits this machine for `auto` or nothing. Blocks while the machine is
    measured. Raises ProfileError."""
    from engine.hosting.hostfile import foreword_version, living_infos
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
    """Tokens of one whole prompt where no setting says otherwise and nothing of it is cached."""
    if device == "cpu":
        return DEFAULT_BUDGET_TOKENS
    return min(profile.default_budget, prior(device).cold_tokens())


def needs_the_engine() -> None:
    """Raises NoEngine where it is not installed."""
    if find_spec("sglang") is None:
        raise NoEngine(
            "the embedded engine is not installed. Install it with: pip install 'foreword[engine]' (Linux), "
            "or set foreword.engine.kind and foreword.engine.url to a server that runs a model"
        )


async def embedded(choice: Choice, on_progress: Callable[[EngineInfo], None], window: int = 0) -> Engine:
    """The host of the chosen model, started if nobody has, then with `window` (0: the model's own). Raises
    EngineError, WeightsError, TokenizerError and NoEngine where the engine is not installed."""
    info = await host_of(choice, on_progress, window)
    return await asyncio.to_thread(_at_host, choice, info, window)


async def host_of(choice: Choice, on_progress: Callable[[EngineInfo], None], window: int = 0) -> EngineInfo:
    """A ready host. Raises EngineError, WeightsError, and NoEngine."""
    from engine.hosting.launcher import ensure_engine, window_arguments

    needs_the_engine()
    return await ensure_engine(
        choice.profile,
        on_progress=on_progress,
        timeout_s=START_TIMEOUT_S,
        host_arguments=window_arguments(window),
    )


def host_endpoint(choice: Choice, info: EngineInfo, window: int = 0) -> SGLangEndpoint:
    """One that ran already serves with the window that it has, and its limits say so."""
    from engine.endpoints.client import SGLangEndpoint
    from engine.hosting.launcher import other_window

    profile, other = choice.profile, other_window(info, window)
    return SGLangEndpoint(
        info.url,
        info.key,
        model=profile.short,
        context_tokens=info.context_tokens or profile.context_native,
        stop_ids=profile.stop_ids,
        packs_ids=True,
        limits=[other] if other else [],
    )


def _at_host(choice: Choice, info: EngineInfo, window: int) -> Engine:
    from engine.tokens import ModelTokenizer
    from engine.weights.weights import ensure_tokenizer

    profile = choice.profile
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(profile))
    budget = prompt_budget(profile, info.device)
    endpoint = host_endpoint(choice, info, window)
    return Engine(endpoint, tokenizer, profile, info.device, budget, choice.reason, info.url, info.pid)


def workspace_hash(roots: Iterable[str]) -> str:
    """Names a workspace to an engine host without telling anything of it, as long as this process lives; empty for
    none."""
    folders = sorted(roots)
    if not folders:
        return ""
    told = "\0".join(folders).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=8, key=WORKSPACE_SECRET).hexdigest()


def configured(settings: EngineSettings, model: str = "auto") -> Engine:
    """The engine of a configured server, or of several in order: its endpoint finds its own way back when one of
    them fails. `model` is the embedded one where an entry asks for that and names none.

    Nothing is sent before the first completion; may block for seconds to fetch a tokenizer or to measure the
    machine. Raises NoEngine where not one of them can be set up.
    """
    from engine.endpoints.failover import FailoverEndpoint, Unusable
    from lsp.links.members import EXPECTED, Built, embedded_member, server_member, shown_name

    entries = (settings, *settings.fallbacks)
    built: list[Built] = []
    unusable: list[Unusable] = []
    for entry in entries:
        try:
            if entry.kind == "embedded":
                built.append(embedded_member(entry, model, alone=len(entries) == 1))
            else:
                built.append(server_member(entry))
        except EXPECTED as failed:
            unusable.append(Unusable(shown_name(entry), str(failed)))
    if not built:
        raise NoEngine("; ".join(each.reason for each in unusable))
    first = built[0]
    return Engine(
        FailoverEndpoint([each.member for each in built], unusable=unusable),
        first.tokenizer,
        first.member.profile,
        first.device,
        first.budget_tokens,
        first.why,
        first.url,
        lasting=True,
    )
