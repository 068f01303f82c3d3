"""Any embedder: what its folder says, how it runs here, whose word counts, and the change from one to another."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys

import msgspec
import numpy as np
import pytest
import tiny_embedders
from index_service import PATIENCE_S, client, isolate, repository, stop_service

from indexer.children.children import NICENESS, Children
from indexer.embedding import choice, embedder, origin
from indexer.embedding import folder as model_folder
from indexer.embedding.embedder import Idleness, Wanted
from indexer.embedding.embedding import Embedding, EmbeddingUnavailable
from indexer.embedding.folder import BrokenModel, ModelFacts
from indexer.embedding.one_embedder import OneEmbedder
from indexer.embedding.settings import EmbedderRule, EmbedderSettings, configuration_file
from indexer.embedding.weights import FINGERPRINT
from indexer.parsing.facts import text_key
from indexer.searching.ranking import DEFAULT_SCALE, Scale
from indexer.store.contents import StoredContent
from indexer.store.store import Store

HAS_ONNX = (
    importlib.util.find_spec("onnxruntime") is not None and importlib.util.find_spec("onnx") is not None
)
HAS_TORCH = importlib.util.find_spec("sentence_transformers") is not None
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs the extra foreword[embed]")
needs_both = pytest.mark.skipif(not (HAS_ONNX and HAS_TORCH), reason="needs foreword[embed] and PyTorch")

TEXTS = [
    "def area of a circle",
    "send mail to",
    "parse date",
    "open file close file retry fetch " * 12,
    "unknown-words-only: xyzzy",
    "",
]


@pytest.fixture(autouse=True)
def _models(monkeypatch, tmp_path):
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FOREWORD_EMBEDDER", raising=False)


# ---------------------------------------------------------------- folders


def test_what_a_folder_says(tmp_path):
    prompts = {"query": "ask: ", "passage": "say: "}
    facts = model_folder.read(tiny_embedders.make(tmp_path / "m", prompts=prompts, hidden=128))
    said = (facts.architecture, facts.dimensions, facts.max_tokens, facts.pooling, facts.plain)
    assert said == ("bert", 128, 48, "mean", True)
    assert (facts.query_prefix, facts.document_prefix) == ("ask: ", "say: ")


def _without(name):
    return lambda folder: (folder / name).unlink()


def _holding(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without("config.json"), "no config.json"),
        (_without("modules.json"), "no modules.json"),
        (_without("model.safetensors"), "no weights"),
        (_holding("config.json", "{"), "cannot be read"),
        (_holding("modules.json", '[{"type": "evil.Module", "path": ""}]'), "code of its own"),
        (
            _holding("modules.json", '[{"type": "sentence_transformers.models.Pooling"}]'),
            "not with a transformer",
        ),
    ],
)
def test_a_broken_folder_says_what_is_wrong(tmp_path, spoil, said):
    folder = tiny_embedders.make(tmp_path / "m")
    spoil(folder)
    with pytest.raises(BrokenModel, match=said):
        model_folder.read(folder)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("/nowhere/at/all", "is no folder"),
        ("not a name", "neither an absolute folder nor"),
        ("../models/x/y", "neither an absolute folder nor"),
    ],
)
def test_an_unknown_model_says_so(model, said):
    with pytest.raises(BrokenModel, match=said):
        origin.find(EmbedderSettings(model=model))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"query_prefix": "q: "}, True),  # vectors of documents stay
        ({"document_prefix": "d: "}, False),
        ({"max_tokens": 16}, False),
    ],
)
def test_the_fingerprint_is_of_what_decides_about_vectors(tmp_path, change, same):
    model = str(tiny_embedders.make(tmp_path / "m"))
    plain = origin.find(EmbedderSettings(model=model)).facts.fingerprint
    changed = origin.find(EmbedderSettings(model=model, **change)).facts.fingerprint
    assert (plain == changed) == same


def test_other_weights_are_another_embedder(tmp_path):
    one, other = (model_folder.read(tiny_embedders.make(tmp_path / str(n), seed=n)) for n in (1, 2))
    assert one.fingerprint != other.fingerprint


# ---------------------------------------------------------------- running


def _wanted(tmp_path, **changes) -> Wanted:
    facts = model_folder.read(tiny_embedders.make(tmp_path / "m", **changes))
    return Wanted(facts, str(tmp_path / "graphs"), facts.query_prefix, facts.document_prefix)


@needs_both
@pytest.mark.parametrize(
    "changes",
    [{}, {"pooling": "cls_token"}, {"architecture": "roberta"}, {"max_tokens": 8}],
    ids=str,
)
def test_a_graph_says_what_sentence_transformers_says(tmp_path, changes):
    from sentence_transformers import SentenceTransformer

    from indexer.embedding.models import ways

    wanted = _wanted(tmp_path, **changes)
    reference = SentenceTransformer(wanted.facts.folder, device="cpu").encode(
        TEXTS, normalize_embeddings=True
    )
    for precision, make in ways(wanted.facts, tmp_path / "graphs").items():
        vectors = make().embed(TEXTS, 2)
        cosines = (vectors * reference).sum(axis=1)
        assert cosines.min() > (0.99999 if precision == "float32" else 0.98), (precision, cosines)


@needs_onnx
def test_a_text_has_the_same_vector_whatever_is_beside_it(tmp_path):
    from indexer.embedding.models import ways

    model = ways(_wanted(tmp_path).facts, tmp_path / "graphs")["int8"]()
    together = model.embed(TEXTS, 2)
    alone = np.concatenate([model.embed([text], 1) for text in TEXTS])
    assert np.array_equal(together, alone)


@needs_onnx
def test_prefixes_stand_before_questions_and_texts(tmp_path):
    wanted = _wanted(tmp_path, prompts={"query": "how is ", "document": "def return "})
    vectors = {
        question: np.frombuffer(embedder.embed(wanted, ["the area"], question=question), "<f4")
        for question in (True, False)
    }
    model, _ = embedder.load(wanted)
    expected = model.embed(["how is the area", "def return the area"], 1)
    assert np.allclose(vectors[True], expected[0]) and np.allclose(vectors[False], expected[1])
    embedder.load.cache_clear()


@needs_onnx
def test_the_choice_is_measured_once_and_remembered(tmp_path):
    wanted = _wanted(tmp_path)
    first = choice.load(wanted)
    again = choice.load(wanted)
    assert (first[2], again[2]) == (True, False)
    assert first[1] == again[1] and first[0].precision == again[0].precision
    (tmp_path / "graphs/choices.json").write_text("{nonsense")
    assert choice.load(wanted)[2], "what cannot be read is measured again"


@needs_onnx
def test_a_way_that_is_too_coarse_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "LEAST_COSINE", 0.99999)
    assert choice.load(_wanted(tmp_path))[1].precision == "float32"


@pytest.mark.parametrize(
    ("idle_cores", "own_cores", "threads"),
    [(1.0, 1.0, 2), (0.0, 1.0, 1), (0.0, 2.0, 2), (0.1, 1.2, 1), (1.6, 0.2, 2)],
)
def test_a_second_thread_only_while_nobody_else_needs_it(monkeypatch, idle_cores, own_cores, threads):
    clocks = iter([(0.0, 0.0, 0.0), (1.0, idle_cores, own_cores)])
    monkeypatch.setattr(embedder, "_clocks", lambda: next(clocks))
    assert Idleness().threads() == threads


def test_another_embedders_cosines_are_made_to_look_like_ours():
    crowded = Scale(mean=0.78, spread=0.02)
    assert crowded.apply(0.78) == pytest.approx(DEFAULT_SCALE.mean)
    assert crowded.apply(0.80) == pytest.approx(DEFAULT_SCALE.mean + DEFAULT_SCALE.spread)
    assert DEFAULT_SCALE.apply(0.4) == pytest.approx(0.4)


# ---------------------------------------------------------------- whose word counts


@pytest.mark.parametrize(
    ("environment", "configured", "asked", "model", "note"),
    [
        ("", None, [], "", ""),
        ("", None, ["/a"], "/a", ""),
        ("", None, ["", "/a", "/a"], "/a", ""),
        ("", None, ["/a", "/b"], "/a", "/b is not used: the first client that named one says /a"),
        ("", {"embedder": {"model": "/c"}}, ["/a"], "/c", "/a is not used: {file} says /c"),
        ("", {"embedder": {"model": "/c", "queryPrefix": "q: "}}, ["/c"], "/c", ""),
        ("/e", {"embedder": {"model": "/c"}}, ["/a"], "/e", "/a is not used: FOREWORD_EMBEDDER says /e"),
    ],
)
def test_one_service_has_one_embedder(monkeypatch, environment, configured, asked, model, note):
    if environment:
        monkeypatch.setenv("FOREWORD_EMBEDDER", environment)
    if configured is not None:
        configuration_file().parent.mkdir(parents=True)
        configuration_file().write_text(json.dumps(configured))
    rule = EmbedderRule()
    for each in asked:
        rule.ask(each)
    assert (rule.settings.model, rule.note) == (model, note.format(file=configuration_file()))


@pytest.mark.parametrize("content", ["{", '{"embedder": 3}', '{"embedder": {"modle": "/a"}}'])
async def test_a_configuration_that_cannot_be_read_is_named(content):
    configuration_file().parent.mkdir(parents=True)
    configuration_file().write_text(content)
    embedding = Embedding()
    assert str(configuration_file()) in embedding.problem and not embedding.available
    with pytest.raises(EmbeddingUnavailable, match="cannot be read"):
        await embedding.question("x", wait_s=1, start=True)


# ---------------------------------------------------------------- from one to another


@needs_onnx
async def test_a_new_embedder_is_filled_beside_the_old_one_which_answers_until_then(tmp_path, monkeypatch):
    store = Store(tmp_path / "store", "test")
    texts = {text_key(word): f"area of {word}" for word in tiny_embedders.WORDS}
    monkeypatch.setattr(store, "chunk_texts", lambda keys: {key: texts[key] for key in keys})
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    old, new = (
        str(tiny_embedders.make(tmp_path / name, seed=seed, hidden=hidden))
        for name, seed, hidden in (("old", 1, 64), ("new", 2, 128))
    )
    embedding = Embedding()
    try:
        assert embedding.ask_for(old)
        await embedding.fill(store, list(texts), lambda _: None)
        first = store.vector_tables.wanted
        assert (len(first.keys), first.dimensions) == (len(texts), 64)
        monkeypatch.setattr(embedding._rule, "_by", "")  # as if another client were the first now
        assert embedding.ask_for(new)
        await embedding.fill(store, list(texts)[:3], lambda _: None)
        second = store.vector_tables.wanted
        assert (len(second.keys), second.dimensions) == (3, 128)
        assert [table.fingerprint for table in store.vector_tables.older] == [first.fingerprint]
        asked = await asyncio.gather(
            *(
                embedding.question("area", wait_s=60, start=True, fingerprint=table.fingerprint)
                for table in (first, second)
            )
        )
        assert [len(vector) for vector in asked] == [64, 128]
        living = [StoredContent("k", "", 0, text_keys=bytes.fromhex("".join(texts)))]
        assert store.vector_tables.answering(living) is first
        assert not store.vector_tables.drop_replaced(living), "it still knows more"
        await embedding.fill(store, list(texts), lambda _: None)
        assert store.vector_tables.answering(living) is second
        assert store.vector_tables.drop_replaced(living) and store.vector_tables.older == []
    finally:
        embedding.stop()
        store.close()


@pytest.fixture
def _known_facts(monkeypatch):
    """Facts of models that no test runs, by name."""

    def find(settings):
        return Wanted(msgspec.structs.replace(facts, fingerprint=settings.model.strip("/")), "")

    facts = ModelFacts(
        "", "bert", 4, 48, "mean", plain=True, query_prefix="", document_prefix="", fingerprint=""
    )

    monkeypatch.setattr(origin, "find", find)


async def test_a_store_in_the_place_of_another_gets_the_table_of_the_same_embedder(tmp_path, _known_facts):
    embedding = Embedding()
    embedding.ask_for("/custom")
    for name in ("damaged", "in its place"):
        store = Store(tmp_path / name, FINGERPRINT)
        await embedding.attach(store)
        assert store.vector_tables.wanted.fingerprint == "custom"
        store.close()


async def test_whoever_changes_the_embedder_meanwhile_changes_the_table_with_it(tmp_path, _known_facts):
    """While the facts of one model are read, another client's word comes to count."""
    embedding = Embedding()
    embedding.ask_for("/first")
    store = Store(tmp_path / "store", FINGERPRINT)
    attaching = asyncio.create_task(embedding.attach(store))
    await asyncio.sleep(0)
    embedding._rule._by = ""
    assert embedding.ask_for("/second")
    one, table = await attaching
    assert (one.settings.model, table.fingerprint) == ("/second", "second")
    assert store.vector_tables.wanted is table
    store.close()


@pytest.mark.parametrize(
    ("covered", "dropped"),
    [((), False), (("a",), False), (("a", "b"), True)],
    ids=["nothing", "some", "all"],
)
@pytest.mark.parametrize("old_covers", [("z",), ("a",), ("a", "b")], ids=["a closed root", "some", "all"])
def test_an_older_embedders_vectors_go_only_when_the_new_ones_are_whole(
    tmp_path, covered, dropped, old_covers
):
    """A service that starts wants the default embedder until somebody attaches another, which may fail for days."""
    store = Store(tmp_path / "store", "custom", 2)
    store.write_vectors({text_key(text): [1.0, 0.0] for text in old_covers})
    store.want_vectors("default", 2)
    store.write_vectors({text_key(text): [1.0, 0.0] for text in covered})
    living = [StoredContent(text, "", 0, text_keys=bytes.fromhex(text_key(text))) for text in ("a", "b")]
    assert store.vector_tables.drop_replaced(living) == dropped
    assert not store.vector_tables.drop_replaced([])
    assert [table.fingerprint for table in store.vector_tables.older] == ([] if dropped else ["custom"])
    store.close()


@needs_onnx
async def test_everybody_who_waits_for_the_first_load_is_answered(tmp_path, monkeypatch):
    """What was tried out leaves with its child, and no job with it."""
    monkeypatch.setenv("FOREWORD_EMBEDDER", str(tiny_embedders.make(tmp_path / "m")))
    one = OneEmbedder(EmbedderRule().settings)
    try:
        asked = (one.embed([text], question=text != "area") for text in ("area", "mail", "date", "file"))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [getattr(answer, "shape", answer) for answer in answers] == [(1, 64)] * 4
        assert one.prepared is not None and one.prepared.measured
    finally:
        one.stop()


async def test_a_model_that_cannot_be_had_is_asked_for_once(monkeypatch):
    asked = []

    def find(settings):
        asked.append(settings)
        raise BrokenModel("gone")

    monkeypatch.setattr(origin, "find", find)
    one = OneEmbedder(EmbedderSettings(model="/m"))
    answers = await asyncio.gather(*(one.wanted() for _ in range(3)), return_exceptions=True)
    assert list(map(str, answers)) == ["gone"] * 3 and len(asked) == 1


@needs_onnx
@pytest.mark.slow
async def test_search_goes_on_when_the_embedder_is_broken_and_over_restarts(tmp_path, monkeypatch):
    """The whole way through a service: a model that is none, then a good one, then the service anew."""
    isolate(monkeypatch, tmp_path)
    root = repository(
        tmp_path / "work",
        {"a.py": "def area(circle):\n    return circle\n", "b.py": "def send_mail(to):\n    return to\n"},
    )
    monkeypatch.setenv("FOREWORD_EMBEDDER", str(tmp_path / "gone"))
    async with client() as connected:
        status = await connected.open_root(str(root), wait_vectors=True)
        assert "is no folder" in status.note and status.vectors == 0
        answer = await connected.search(str(root), "send mail")
        assert answer.hits[0].path == "b.py" and "full text and names only" in answer.note
    await stop_service()
    monkeypatch.delenv("FOREWORD_EMBEDDER")
    model = str(tiny_embedders.make(tmp_path / "good"))
    for _ in range(2):
        async with client() as connected:
            await connected.open_root(str(root), wait_vectors=True, embedder=model, timeout_s=120)
            async with asyncio.timeout(PATIENCE_S):
                while not await _whole(connected):
                    await asyncio.sleep(0.1)
            answer = await connected.search(str(root), "area of a circle")
            assert (answer.hits[0].path, answer.note) == ("a.py", "")
            assert "good (running" in (await connected.status()).embedder
        await stop_service()


async def _whole(connected) -> bool:
    (root,) = (await connected.status()).roots
    return root.vectors == root.chunks > 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is a process's")
async def test_questions_do_not_give_way_to_others():
    children = Children(1, 0.2, embedder.settle_in_offline)
    assert await children.run(os.nice, 0) >= os.nice(0) + NICENESS
    assert await children.run(embedder.at_once, os.nice, 0) == os.nice(0)
    children.stop()
