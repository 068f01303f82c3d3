"""Tokens that are told by their beginning, for vendors (or their newer formats) that detect-secrets 1.5 does not
know."""

from __future__ import annotations

import re

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

PREFIXED = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    + "|".join(f"(?P<k{number}>{prefix})" for number, prefix in enumerate(_PREFIXES.values()))
    + rf")(?P<payload>{_PAYLOAD})"
)
"""One of the beginnings at the start of a word, and at least 20 characters after it: the group `payload`."""

_KINDS = list(_PREFIXES)

OTHERS: dict[str, re.Pattern[str]] = {
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


def kind_of(match: re.Match[str]) -> str:
    """Whose token a match of `PREFIXED` is."""
    return next(kind for number, kind in enumerate(_KINDS) if match[f"k{number}"] is not None)
