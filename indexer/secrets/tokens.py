"""Tokens told by their format: those of vendors that detect-secrets knows, and newer ones by how they begin."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from indexer.secrets.shapes import CERTAINLY_WORDY, is_placeholder, reads_like_words

Span = tuple[int, int, str]
"""Start, end, kind."""

_DETECTORS: tuple[RegexBasedDetector, ...] = (
    ArtifactoryDetector(),
    AWSKeyDetector(),
    CloudantDetector(),
    DiscordBotTokenDetector(),
    GitHubTokenDetector(),
    GitLabTokenDetector(),
    IbmCloudIamDetector(),
    IbmCosHmacDetector(),
    MailchimpDetector(),
    NpmDetector(),
    OpenAIDetector(),
    PypiTokenDetector(),
    SendGridDetector(),
    SlackDetector(),
    SoftlayerDetector(),
    SquareOAuthDetector(),
    StripeDetector(),
    TelegramBotTokenDetector(),
    TwilioKeyDetector(),
)
"""Left out: those for whole files, addresses and names, which are judged here with more context, and public IP
addresses, which are no secrets."""

_LONG_ENOUGH = re.compile(r"[A-Za-z0-9_\-+/]{15}")
"""No format is satisfied by less, and most lines that are judged have nothing like it."""

_MAY_BE_WORDS = (ArtifactoryDetector, CloudantDetector, IbmCloudIamDetector)
"""Their formats are loose: words fit into them."""

_MIN_GROUP = 16
"""Characters. A group of a detector's expression that is shorter is a part of the format, not the secret."""

_CHARACTERS_PER_DIGIT = 12
"""A random letter or digit is a digit once in six; names have one at their end."""

_AROUND = " \t\"'=:,;"
"""What some detectors' expressions take in around the secret."""

_PREFIXES: dict[str, str] = {
    "GitHub Token": r"github_pat_",
    "GitLab Token": r"gl(?:pat|dt|ft|soat|rt|cbt|ptt|imt|agent|oas)-",
    "OpenAI Token": r"sk-(?:proj|svcacct|admin|None)-",
    "Anthropic Token": r"sk-ant-",
    "API Key": r"(?:sk|pk|rk)-(?:or-v1-|lf-|live-|test-)?",
    "Stripe Access Key": r"[sr]k_(?:live|test)_|whsec_",
    "Slack Token": r"xox[a-z](?:\.xox[a-z])?-|xapp-",
    "Google Secret": r"AIza|GOCSPX-|ya29\.",
    "NPM tokens": r"npm_",
    "PyPI Token": r"pypi-",
    "Hugging Face Token": r"hf_",
    "Square OAuth Secret": r"sq0[a-z]{3}-|EAAA[A-Z]",
    "Shopify Token": r"shp(?:at|ca|pa|ss)_",
    "DigitalOcean Token": r"do[opr]_v1_",
    "Docker Token": r"dckr_[po]at_",
    "Databricks Token": r"dapi",
    "Vault Token": r"hv[sbr]\.",
    "Atlassian Token": r"AT[AC]TT3",
    "Postman Key": r"PMAK-",
    "New Relic Key": r"NRAK-",
    "Grafana Token": r"gl(?:sa|c)_",
    "Linear Key": r"lin_api_",
    "Figma Token": r"figd_",
    "Notion Token": r"ntn_",
    "Groq Key": r"gsk_",
    "Replicate Token": r"r8_",
    "Perplexity Key": r"pplx-",
    "xAI Key": r"xai-",
    "Brevo Key": r"xkeysib-",
    "Mailgun Key": r"key-",
    "PlanetScale Token": r"pscale_(?:tkn|pw|oauth)_",
    "Supabase Token": r"sbp_",
    "Sentry Token": r"sntrys_|sntryu_",
    "Dynatrace Token": r"dt0[a-z]\d{2}\.",
    "Pulumi Token": r"pul-",
    "RubyGems Key": r"rubygems_",
    "Doppler Token": r"dp\.(?:pt|st|ct|sa)\.",
    "age Secret Key": r"AGE-SECRET-KEY-1",
}

_PAYLOAD = r"[A-Za-z0-9_\-=]{20,}(?:\.[A-Za-z0-9_\-=]{20,})*"

_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    + "|".join(f"(?P<k{number}>{prefix})" for number, prefix in enumerate(_PREFIXES.values()))
    + rf")(?P<payload>{_PAYLOAD})"
)
"""One of the beginnings at the start of a word, and at least 20 characters after it: the group `payload`."""

_KINDS = list(_PREFIXES)

_OTHERS: dict[str, re.Pattern[str]] = {
    "AWS Access Key": re.compile(
        r"(?<![A-Za-z0-9])((?:A3T[A-Z0-9]|A[KS]IA|ABIA|ACCA)[0-9A-Z]{16})(?![A-Za-z0-9])"
    ),
    "Azure Storage Account access key": re.compile(
        r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})"
    ),
    "Azure client secret": re.compile(
        r"(?<![\w~.-])([A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34})(?![\w~.-])"
    ),
    "Azure shared access signature": re.compile(r"[?&]sig=((?:[A-Za-z0-9+/=_-]|%[0-9A-Fa-f]{2}){40,})"),
    "Discord webhook": re.compile(r"discord(?:app)?\.com/api/webhooks/\d+/([A-Za-z0-9_-]{60,})"),
    "Terraform Token": re.compile(r"(?<!\w)([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,})"),
}
"""Group 1 is the secret."""


_JWT = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")


def tokens_in(line: str) -> Iterator[Span]:
    """Those of one line; they may overlap."""
    if _LONG_ENOUGH.search(line) is None:
        return
    for match in _PREFIXED.finditer(line):
        if not is_placeholder(match["payload"]) and not _is_name(match["payload"]):
            yield *match.span(), _kind_of(match)
    for kind, pattern in _OTHERS.items():
        for match in pattern.finditer(line):
            yield *match.span(1), kind
    for match in _JWT.finditer(line):
        if JwtTokenDetector.is_formally_valid(".".join(match[0].split(".")[:2])):
            yield *match.span(), "JSON Web Token"
    for detector in _DETECTORS:
        for pattern in detector.denylist:
            for match in pattern.finditer(line):
                start, end = _secret_of(match)
                value = line[start:end]
                if not _harmless(detector, value):
                    yield start, end, str(detector.secret_type)


def _is_name(payload: str) -> bool:
    """Whether what follows a token's beginning goes on like a name: `hf_hub_download`, `sk-learn-contrib`."""
    few_digits = sum(map(str.isdigit, payload)) * _CHARACTERS_PER_DIGIT < len(payload)
    return few_digits and reads_like_words(payload, CERTAINLY_WORDY)


def _secret_of(match: re.Match[str]) -> tuple[int, int]:
    """The longest group that is no mere part of the format, else all of it, without what is around."""
    spans = [match.span(number) for number in range(1, (match.re.groups or 0) + 1)]
    start, end = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
    if end - start < _MIN_GROUP:
        start, end = match.span()
    value = match.string[start:end]
    return start + len(value) - len(value.lstrip(_AROUND)), end - len(value) + len(value.rstrip(_AROUND))


def _harmless(detector: RegexBasedDetector, value: str) -> bool:
    if is_placeholder(value.removeprefix("https://")):
        return True
    return isinstance(detector, _MAY_BE_WORDS) and (
        reads_like_words(value) or not any(map(str.isdigit, value))
    )


def _kind_of(match: re.Match[str]) -> str:
    """Whose token a match of `PREFIXED` is."""
    return next(kind for number, kind in enumerate(_KINDS) if match[f"k{number}"] is not None)
