"""From keystroke to text with the real server, index service, engine host and models."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from editor import FOREWORD, editor

from engine.hosting.launcher import read_engine

pytestmark = pytest.mark.engine

DEFAULT_MODEL = "qwen2.5-coder-0.5b"
DEFAULT = {"model": DEFAULT_MODEL}
"""Named, since what else runs on the machine must not decide which model a test is about."""
SMALL = {"model": "smollm2-135m"}
HEAVY_MODULES = {"torch", "sglang", "lancedb", "pyarrow", "transformers", "pandas", "sentence_transformers"}
"""What must never be in the server's process: it starts in a fraction of a second and holds little memory."""

PRICING = '''\
"""Prices."""


def net_price_for_customer(gross: float, customer_group: str) -> float:
    """The price after the discount that this group of customers gets."""
    return gross * (1 - DISCOUNTS[customer_group])


DISCOUNTS = {"retail": 0.0, "dealer": 0.2}
'''
ORDER = '''\
"""Orders."""

from shop import pricing


def price_of_order(gross: float, customer_group: str) -> float:
    """What a customer of this group pays, after the discount."""
    return pricing.'''


@pytest.fixture
def shop(tmp_path) -> Path:
    """A small repository in which completing order.py takes knowing pricing.py."""
    root = tmp_path / "shop-repository"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "pricing.py").write_text(PRICING)
    (root / "shop" / "order.py").write_text(ORDER)
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


def end_of(text: str) -> tuple[int, int]:
    return text.count("\n"), len(text) - text.rfind("\n") - 1


async def test_completion_uses_a_symbol_of_another_file(engine_home, shop):
    async with editor(shop, DEFAULT) as one:
        await one.ready()
        uri = one.open(shop / "shop" / "order.py")
        item = await one.completion(uri, *end_of(ORDER))
        assert item is not None
        assert item.insert_text.startswith("net_price_for_customer(gross, customer_group")
        told = await one.status()
        assert "shop/pricing.py" in [segment["path"] for segment in told["lastCompletion"]["segments"]]
    async with editor(shop, {**DEFAULT, "index": False}) as blind:
        await blind.until(lambda status: status["engine"]["state"] == "ready")
        uri = blind.open(shop / "shop" / "order.py")
        item = await blind.completion(uri, *end_of(ORDER))
        assert item is None or "net_price_for_customer" not in item.insert_text


async def test_unsaved_text_of_another_file_counts(engine_home, shop):
    """The model reads the living copy: a helper that was renamed a moment ago and not saved yet."""
    async with editor(shop, DEFAULT) as one:
        await one.ready()
        one.open(shop / "shop" / "pricing.py", PRICING.replace("net_price_for_customer", "amount_due"))
        uri = one.open(shop / "shop" / "order.py")
        item = await one.completion(uri, *end_of(ORDER))
        assert item is not None
        assert item.insert_text.startswith("amount_due(")


async def test_where_the_cursor_rests_is_read_before_it_is_asked_for(engine_home, shop):
    order = ORDER.replace("Orders", "Orders of one day")  # no other test has had the engine read this
    async with editor(shop, DEFAULT) as one:
        await one.ready()
        uri = one.open(shop / "shop" / "order.py", order)
        line, character = end_of(order)
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        one.client.protocol.notify("foreword/cursor", place)
        told = await one.until(lambda status: status["readAhead"]["tokens"] or status["readAhead"]["reason"])
        assert told["readAhead"]["reason"] == ""
        answer = await one.request("foreword/completion", place)
        assert answer["text"].startswith("net_price_for_customer(")
        assert told["readAhead"]["tokens"] <= answer["cachedTokens"] + 1, (
            "the healed end may differ by a token"
        )


async def test_streams_and_tells_what_was_read(engine_home, shop):
    """`foreword/completion`: partial results grow into the answer, which says what the model read."""
    async with editor(shop, DEFAULT) as one:
        await one.ready()
        uri = one.open(shop / "shop" / "order.py")
        line, character = end_of(ORDER)
        request = {
            "textDocument": {"uri": uri},
            "position": {"line": line, "character": character},
            "partialResultToken": "stream-1",
        }
        answer = await one.request("foreword/completion", request)
        grown = [value["text"] for value in one.progress["stream-1"]]
        assert len(grown) > 1
        assert all(later.startswith(earlier) for earlier, later in pairwise(grown))
        assert grown[-1] == answer["text"]
        assert answer["text"].startswith("net_price_for_customer(")
        assert answer["segments"][0]["path"] == "shop/pricing.py"
        assert answer["segments"][0]["reason"]
        without = await one.request("foreword/completion", {**request, "repositoryContext": False})
        assert without["segments"] == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_positions_in_every_encoding(engine_home, engine_host, tmp_path, encoding):
    """Astral characters before the cursor and CRLF line ends: the same place in whatever units the client counts."""
    text = 'greeting = "hello"\r\nname = "😀é"; print(greet'
    (tmp_path / "hello.py").write_bytes(text.encode())
    last = text.rpartition("\n")[2]
    units = {"utf-8": len(last.encode()), "utf-16": len(last.encode("utf-16-le")) // 2, "utf-32": len(last)}
    async with editor(tmp_path, SMALL, encoding) as one:
        assert one.capabilities is not None
        assert one.capabilities.position_encoding == encoding
        await one.ready()
        uri = one.open(tmp_path / "hello.py")
        item = await one.completion(uri, 1, units[encoding])
        assert item is not None
        assert (item.range.start.line, item.range.start.character) == (1, units[encoding])
        assert item.insert_text.startswith("ing)")
        one.replace(uri, "def add(a, b):\r\n    return a + b\r\n\r\n\r\ndef subtract(a, b):\r\n")
        item = await one.completion(uri, 5, 0)
        assert item is not None
        assert "\n" not in item.insert_text.replace("\r\n", "")


async def steps_of(model: str) -> dict[str, int]:
    info = read_engine(model)
    assert info is not None
    headers = {"Authorization": f"Bearer {info.key}"}
    async with httpx.AsyncClient(base_url=info.url, headers=headers, trust_env=False) as client:
        return (await client.get("/foreword/steps")).json()


async def steps_when(model: str, condition, timeout_s: float = 30.0) -> dict[str, int]:
    async with asyncio.timeout(timeout_s):
        while not condition(now := await steps_of(model)):
            await asyncio.sleep(0.01)
    return now


PREFILL_CHUNKS = 3
DECODE_STEPS = 5


@pytest.mark.parametrize("moment", ["before", "prefill", "decode"])
@pytest.mark.parametrize("how", ["cancel", "newer request"])
async def test_cancel_reaches_the_scheduler(engine_home, engine_host, tmp_path, moment, how):
    """Idle within one scheduler step of the abort's arrival, and the KV pool as free as before."""
    model = SMALL["model"]
    lines = 40 if moment == "decode" else 700
    # A body that goes on as it began: the model writes line after line of it, so that there is time to cancel.
    body = "".join(f"    value_{n} = compute({n * 7919})\n" for n in range(lines))
    text = f"# {moment} {how}\ndef run():\n{body}    "
    options = {**SMALL, "budgetTokens": 6000, "index": False}
    async with editor(tmp_path, options) as one:
        await one.until(lambda status: status["engine"]["state"] == "ready")
        uri = one.open(tmp_path / "long.py", text)
        before = await steps_when(model, lambda now: now["running"] == 0)
        asked = await one.ask(uri, *end_of(text))
        if moment == "prefill":
            await steps_when(model, lambda now: now["steps"] >= before["steps"] + PREFILL_CHUNKS)
        elif moment == "decode":
            await steps_when(
                model, lambda now: now["steps"] >= before["steps"] + PREFILL_CHUNKS + DECODE_STEPS
            )
        if how == "cancel":
            await asked.cancel()
        else:
            one.replace(uri, "x = 1\n")
            newer = await one.completion(uri, 1, 0)
            assert newer is None or newer.insert_text
            assert not (await asked.answer).items
        if moment == "before":  # nothing may have reached the engine, then there is nothing to abort
            after = await steps_when(model, lambda now: now["running"] == 0)
        else:

            def aborted_and_idle(now: dict[str, int]) -> bool:
                return now["aborts"] > before["aborts"] and now["idle_step"] >= 0 and now["running"] == 0

            after = await steps_when(model, aborted_and_idle)
        if how == "cancel" and moment != "before":
            assert after["idle_step"] - after["last_abort_arrival_step"] <= 1
        assert after["kv_free_tokens"] == before["kv_free_tokens"]
        reason = (await one.status())["lastEmptyReason"]
        assert how == "cancel" or reason == "" or "newer request" in reason


async def test_modules_of_the_working_server(engine_home, shop):
    async with editor(shop, DEFAULT) as one:
        await one.ready()
        uri = one.open(shop / "shop" / "order.py")
        assert await one.completion(uri, *end_of(ORDER)) is not None
        loaded = await one.request("foreword/loadedModules")
    assert "lsp.server" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY_MODULES == set()


def foreword(*arguments: str, code: int = 0) -> str:
    ended = subprocess.run([FOREWORD, *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == code, ended.stderr
    return ended.stdout


def test_context_command(engine_home, shop):
    """The shape that the README promises; tokens, counted by the model's tokenizer, within the budget; ids add up."""
    from engine.profiles import find
    from engine.tokens import ModelTokenizer
    from engine.weights.weights import ensure_tokenizer

    line, column = end_of(ORDER)
    where = f"{shop / 'shop' / 'order.py'}:{line + 1}:{column + 1}"
    pack = json.loads(foreword("context", where, "--model", DEFAULT_MODEL, "--budget", "4096", "--json"))
    assert pack["budget"] == 4096
    assert 0 < pack["tokens"] <= 4096
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(find(DEFAULT_MODEL)))
    first = pack["segments"][0]
    assert set(first) == {"path", "start_line", "end_line", "tokens", "layer", "reason", "text"}
    lines = (shop / first["path"]).read_text().splitlines(keepends=True)
    assert first["text"] == "".join(lines[first["start_line"] - 1 : first["end_line"]])
    parts: list[str] = []
    named = 0
    files = itertools.groupby(pack["segments"], key=lambda segment: segment["path"])
    for path, segments in files:  # a file that stands together is named once
        parts += [path + "\n", *(segment["text"] for segment in segments)]
        named += 1
    whole = tokenizer.encode("".join(parts))
    assert [token for part in parts for token in tokenizer.encode(part)] == whole
    assert sum(segment["tokens"] for segment in pack["segments"]) == pack["tokens"]
    assert len(whole) + named == pack["tokens"]
    nothing = foreword("context", where, "--model", DEFAULT_MODEL, "--budget", "10", "--json", code=3)
    assert json.loads(nothing)["tokens"] == 0


async def test_context_is_what_a_completion_reads(engine_home, shop):
    """Without --budget, `context` takes what a completion takes at the same place."""
    line, column = end_of(ORDER)
    where = f"{shop / 'shop' / 'order.py'}:{line + 1}:{column + 1}"
    pack = json.loads(foreword("context", where, "--model", DEFAULT_MODEL, "--json"))
    async with editor(shop, DEFAULT) as one:
        await one.ready()
        uri = one.open(shop / "shop" / "order.py")
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        answer = await one.request("foreword/completion", place)
    read = [(each["path"], each["startLine"] + 1, each["endLine"]) for each in answer["segments"]]
    assert read == [(each["path"], each["start_line"], each["end_line"]) for each in pack["segments"]]
    assert read


async def test_context_tells_what_is_cached(engine_home, engine_host, shop):
    """In the editor and in a terminal alike: after a completion all of its prompt, before it as much as is shared."""
    line, column = end_of(ORDER)
    where = f"{shop / 'shop' / 'order.py'}:{line + 1}:{column + 1}"
    async with httpx.AsyncClient(base_url=engine_host.url, trust_env=False) as host:
        await host.post("/flush_cache", headers={"Authorization": f"Bearer {engine_host.key}"})
    async with editor(shop, SMALL) as one:
        await one.ready()
        uri = one.open(shop / "shop" / "order.py")
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        cold = await one.request("foreword/context", place)
        answer = await one.request("foreword/completion", place)
        warm = await one.request("foreword/context", {**place, "html": True})
    assert cold["window"]["tokens"] == warm["window"]["tokens"] == answer["promptTokens"]
    assert [each["text"] for each in cold["segments"]] == [each["text"] for each in warm["segments"]] != []
    assert cold["window"]["cachedTokens"] == answer["cachedTokens"] == 0
    assert {each["cached"] for each in cold["window"]["parts"]} == {False}
    assert warm["window"]["cachedTokens"] == warm["window"]["tokens"]
    assert {each["cached"] for each in warm["window"]["parts"]} == {True}
    assert "net_price_for_customer" in warm["html"] and "100%" in warm["html"]
    told = json.loads(foreword("context", where, "--model", SMALL["model"], "--json"))
    assert 0 < told["window"]["cached_tokens"] <= told["window"]["tokens"]
    assert told["window"]["parts"][0]["cached"] is True, "what every prompt of this repository begins with"


def test_complete_command_reads_the_cache(engine_home, shop):
    line, column = end_of(ORDER)
    where = f"{shop / 'shop' / 'order.py'}:{line + 1}:{column + 1}"
    first = json.loads(foreword("complete", where, "--model", DEFAULT_MODEL, "--json"))
    second = json.loads(foreword("complete", where, "--model", DEFAULT_MODEL, "--json"))
    names = {"text", "completion_tokens", "prompt_tokens", "cached_tokens", "ttft_s", "total_s", "reason"}
    assert set(first) == set(second) == names
    assert first["text"] == second["text"] != ""
    assert second["cached_tokens"] >= 0.95 * second["prompt_tokens"]


def test_status_command_shows_no_key(engine_home, engine_host):
    told = foreword("engine", "status", "--json")
    assert engine_host.key not in told
    engine = next(each for each in json.loads(told)["engines"] if each["model"] == SMALL["model"])
    assert engine["state"] == "ready"


def test_doctor_finds_nothing_wrong(engine_home):
    findings = json.loads(foreword("doctor", "--json"))
    assert [finding for finding in findings if finding["level"] == "error"] == []
