"""One configured endpoint with all that a prompt for it needs: its client, its model's layout and tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.endpoints.chat import ChatEndpoint
from engine.endpoints.client import SGLangEndpoint
from engine.endpoints.detect import DetectedEndpoint
from engine.endpoints.failover import Member
from engine.endpoints.openai import OpenAIEndpoint
from engine.endpoints.sse import EngineRequestError
from engine.paths import EnginePathError
from engine.profiles import QWEN_SMALL, Profile, ProfileError, find
from engine.tokens import EstimateTokenizer, ModelTokenizer, TokenizerError
from engine.weights.tokenizer_file import tokenizer_for
from engine.weights.weights import WeightsError
from lsp.completion import Tokenizer
from lsp.links.engines import (
    NoEngine,
    choose_profile,
    host_endpoint,
    host_of,
    needs_the_engine,
    prompt_budget,
)
from lsp.settings import EngineSettings, without_credentials

if TYPE_CHECKING:
    from engine.endpoints.endpoint import Probed
    from engine.hosting.hostfile import EngineInfo

EXPECTED = (
    EnginePathError,
    EngineRequestError,
    NoEngine,
    OSError,
    ProfileError,
    TokenizerError,
    WeightsError,
)
"""What can keep an endpoint from being set up outside Foreword; each message is for a person."""

FOREIGN_BUDGET_TOKENS = 8_192
"""For a server that we know nothing about; GPU servers pre-fill this in a second or two."""

FOREIGN_SHARE = 0.85
"""Of a foreign model's window and budget is used where Qwen's tokenizer counts for its own: 15% is reserve."""

FOREIGN_COUNT_LIMIT = "this model's tokenizer is not known here: Qwen's counts for it, with a reserve of 15%"
ESTIMATE_LIMIT = "tokens are estimated at 3 bytes each, with a reserve of 15%"


class Built(msgspec.Struct, frozen=True):
    """A member of a list of endpoints, and what an engine that begins with it is like."""

    member: Member
    tokenizer: Tokenizer
    device: str
    budget_tokens: int
    why: str
    url: str = ""


def shown_name(settings: EngineSettings) -> str:
    """What people read of an endpoint that has none of its own yet; never its key."""
    model = f" with {settings.model}" if settings.model else ""
    if settings.kind == "embedded":
        return f"the embedded engine{model}"
    return f"the {settings.kind} server{model} at {without_credentials(settings.url)}"


def server_member(settings: EngineSettings) -> Built:
    """Of a configured server. Raises one of EXPECTED."""
    try:
        profile, known = find(settings.model), True
    except ProfileError:
        profile, known = QWEN_SMALL, False  # the family whose layout most code models read
    make = _openai if settings.kind == "openai" else _sglang
    endpoint, tokenizer, share = make(settings, profile, known)
    member = Member(endpoint, profile, tokenizer, settings.first_text_s)
    why = f"configured: {without_credentials(settings.url)}"
    return Built(member, tokenizer, "remote", int(FOREIGN_BUDGET_TOKENS * share), why, settings.url)


def embedded_member(settings: EngineSettings, model: str, *, alone: bool) -> Built:
    """Of the host on this machine, started when it is first needed; a request waits for that only where nobody
    else could answer it. Raises one of EXPECTED."""
    from engine.endpoints.lazy import LazyEndpoint

    needs_the_engine()
    choice = choose_profile(settings.model or model)
    profile, window = choice.profile, settings.window_tokens
    tokenizer, _ = tokenizer_for(profile)

    async def start() -> SGLangEndpoint:
        from engine.hosting.launcher import EngineError

        try:
            return host_endpoint(choice, await host_of(choice, _quiet, window), window)
        except (EngineError, *EXPECTED) as failed:
            raise EngineRequestError(
                "unreachable", f"the embedded engine did not start: {failed}"
            ) from failed

    name = f"the embedded engine with {profile.short}"
    endpoint = LazyEndpoint(
        name, profile.short, context_tokens=window or profile.context_native, start=start, waits=alone
    )
    member = Member(endpoint, profile, tokenizer, settings.first_text_s)
    return Built(member, tokenizer, choice.device, prompt_budget(profile, choice.device), choice.reason)


def _openai(
    settings: EngineSettings, profile: Profile, known: bool
) -> tuple[Probed, ModelTokenizer | EstimateTokenizer, float]:
    """Text goes to this server, not ids: a tokenizer only counts, so another family's will do, with a reserve."""
    tokenizer, missing = tokenizer_for(profile)
    exact = known and not missing
    share = 1.0 if exact else FOREIGN_SHARE
    limits = [] if exact else [f"{ESTIMATE_LIMIT}: {missing}" if missing else FOREIGN_COUNT_LIMIT]
    window = int(settings.context_tokens * share)
    url, key, model = settings.url, settings.key, settings.model
    chat = ChatEndpoint(url, key, model, context_tokens=window, limits=limits)
    if settings.api == "chat":
        return chat, tokenizer, share
    completions = OpenAIEndpoint(
        url, key, model, context_tokens=window, takes_suffix=settings.takes_suffix, limits=limits
    )
    if settings.api == "completions" or settings.takes_suffix:
        return completions, tokenizer, share
    return DetectedEndpoint(completions, chat), tokenizer, share


def _sglang(
    settings: EngineSettings, profile: Profile, known: bool
) -> tuple[Probed, ModelTokenizer | EstimateTokenizer, float]:
    """Ids go to this server when the model is known, so that its prefix cache sees what ours would."""
    why_not = f"{settings.model or 'the model'} is none of the known models"
    tokenizer, missing = tokenizer_for(profile) if known else (EstimateTokenizer(), why_not)
    endpoint = SGLangEndpoint(
        settings.url,
        settings.key,
        model=settings.model or "its model",
        context_tokens=settings.context_tokens,
        stop_ids=profile.stop_ids if known else (),
        limits=[f"{ESTIMATE_LIMIT}: {missing}"] if missing else [],
    )
    return endpoint, tokenizer, FOREIGN_SHARE if missing else 1.0


def _quiet(_: EngineInfo) -> None:
    """Whoever has another endpoint to write with needs no progress bar."""
