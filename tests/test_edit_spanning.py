"""Edits of several files in an editor: callers that follow a changed signature, plans, parts of plans, cancelling.

The real server and a real index service; what the model writes is scripted, by a real HTTP server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from editor import plain
from index_service import isolate, stop_service
from lsprotocol import types
from misbehaving import EVENTS, Exchange, served
from pygls.exceptions import JsonRpcException, JsonRpcRequestCancelled
from test_edit_server import EditingEditor, titles
from test_edit_steps import ANSWERS, DISCOUNT, FILES, PAGE, TESTS, asked_for

from engine.prompts import Message
from lsp.edits.plan_events import APPLY_PART, CHANGE_NOTHING

PATIENCE_S = 60.0
CHANGED = FILES["shop/cart.py"].replace("def total(items)", "def total(items, discount)")
CALLERS = {"shop/page.py": PAGE, "tests/test_cart.py": TESTS}


class PlanningEditor(EditingEditor):
    """One that shows plans, and answers what it is asked about them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.plans: list[Any] = []
        self.questions: list[types.ShowMessageRequestParams] = []
        self.answer: str | None = None
        self.kept: list[str] | None = None

        @self.client.feature("foreword/plan")
        def plan(params: Any) -> None:
            self.plans.append(plain(params))

        @self.client.feature("foreword/confirmPlan")
        def confirm(params: Any) -> Any:
            self.plans.append(plain(params))
            return None if self.kept is None else {"files": self.kept}

        @self.client.feature(types.WINDOW_SHOW_MESSAGE_REQUEST)
        def ask(params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
            self.questions.append(params)
            return None if self.answer is None else types.MessageActionItem(self.answer)

    def states(self) -> list[list[str]]:
        return [[each.get("state", "waiting") for each in plan["files"]] for plan in self.plans]

    def open_all(self, root: Path) -> dict[str, str]:
        return {path: self.open(root / path) for path in FILES}


class Model:
    """Answers by the file that it is asked for, and waits where it is told to."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.asked = ANSWERS | answers, []
        self.prompts: list[str] = []
        self.held_at = self.waits_at = ""
        self.held, self.left, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def behave(self, exchange: Exchange) -> None:
        if not exchange.path.endswith("/chat/completions"):
            await exchange.answer(404, b"{}")
            return
        self.prompts.append(exchange.json["messages"][-1]["content"])
        prompt = type("Asked", (), {"messages": [Message("user", self.prompts[-1])]})
        self.asked.append(asked_for(prompt))
        text = self.answers[self.asked[-1]]
        await exchange.send(EVENTS)
        for at in range(0, len(text), 24):
            delta = {"content": text[at : at + 24]}
            await exchange.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            if self.asked[-1] == self.held_at:
                self.held.set()
                await exchange.until_closed()
                self.left.set()
                return
        if self.asked[-1] == self.waits_at:
            await self.may_end.wait()
        await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await exchange.send(b"data: [DONE]\n\n")


@pytest.fixture
async def shop(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    root = tmp_path / "shop-root"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    yield root
    await stop_service()


@asynccontextmanager
async def planning(root: Path, answers: dict[str, str] | None = None, model: str = "big-30b", **options: Any):
    """An editor with this root and its index, and a model that answers so."""
    writer = Model(answers or {})
    ours = {"edit": True, "ask": True, "plan": True} | options.pop("ours", {})
    async with served(writer.behave) as (url, _):
        engine = {"kind": "openai", "api": "chat", "url": url, "model": model}
        one = PlanningEditor(ours=ours, **options)
        await one.begin(root, {"engine": engine})
        try:
            await one.until(
                lambda status: (
                    status["engine"]["state"] == "ready"
                    and [each["state"] for each in status["index"].get("roots", [])] == ["ready"]
                ),
                PATIENCE_S,
            )
            yield one, writer
        finally:
            await one.client.shutdown_session()
            await one.client.stop()


def of_2(editor: PlanningEditor) -> list[Any]:
    """What the bar said of the file under way."""
    return [each for notes in editor.progress.values() for each in notes if "of 2" in each.get("message", "")]


async def change_callers(editor: PlanningEditor, uri: str) -> Any:
    offered = await editor.actions(uri, 0, only=["refactor.rewrite"])
    (action,) = [
        each for each in offered if each.title == "Foreword: Change the callers of `total` to fit it"
    ]
    return await editor.run(action)


async def test_callers_follow_a_changed_signature(shop):
    async with planning(shop) as (editor, model):
        uris = editor.open_all(shop)
        editor.texts[uris["shop/cart.py"]] = CHANGED
        editor.replace(uris["shop/cart.py"], CHANGED)  # not saved: the index answers for what is seen
        model.waits_at = list(CALLERS)[-1]
        changing = asyncio.create_task(change_callers(editor, uris["shop/cart.py"]))
        async with asyncio.timeout(PATIENCE_S):
            while not of_2(editor):
                await asyncio.sleep(0.01)  # the bar names the file under way
        model.may_end.set()
        done = await changing
        assert done["applied"] and not done["missing"] and done["claim"] == "parses", done
        assert model.asked == list(CALLERS), "one file after the other, and nobody else's"
        assert sorted(done["files"]) == sorted(uris[path] for path in CALLERS)
        assert "print(total(items, 0))" in editor.texts[uris["shop/page.py"]]
        assert "assert total([1], 0) == 1" in editor.texts[uris["tests/test_cart.py"]]
        assert editor.texts[uris["shop/__init__.py"]] == FILES["shop/__init__.py"], "an import is no call"
        assert all("def total(items, discount):" in each for each in model.prompts), "the definition is read"
        assert "def unrelated" not in model.prompts[0].partition("May be changed")[2]

        (edit,) = editor.applied
        assert len(edit.document_changes) == 2, "one transaction"
        assert all(each.needs_confirmation for each in edit.change_annotations.values())
        assert editor.states()[0] == ["waiting", "waiting"] and editor.states()[-1] == ["done", "done"]
        assert [each["symbols"] for each in editor.plans[0]["files"]] == [["show"], ["test_total"]]
        assert {each["edit"] for each in (*editor.plans, *editor.notes)} == {done["edit"]}
        finished = [each for each in editor.notes if each["state"] == "finished"]
        assert [(each["block"], each["step"], each["path"]) for each in finished] == [
            (at, at + 1, path) for at, path in enumerate(CALLERS)
        ]


async def test_an_instruction_that_spans_files_is_planned(shop):
    async with planning(shop) as (editor, model):
        uris = editor.open_all(shop)
        instructed = {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]}
        plan = await editor.command("foreword.plan", instructed)
        assert [each["path"] for each in plan["files"]] == ["shop/cart.py", *CALLERS] and not plan["reason"]
        assert plan["files"][0]["symbols"] == ["total"] and plan["files"][0]["uri"] == uris["shop/cart.py"]
        assert model.asked == ["plan"] and not editor.applied, "nothing is changed by it"

        done = await editor.command("foreword.edit", instructed)
        assert done["applied"] and len(done["files"]) == 3 and len(editor.applied) == 1
        assert editor.texts[uris["shop/cart.py"]] == CHANGED
        assert model.asked == ["plan", "plan", "shop/cart.py", *CALLERS]
        assert model.prompts[1] == model.prompts[0], "the same question, and cached"

        assert "Do not edit yet" in model.prompts[0]
        await editor.command("foreword.edit", instructed | {"plan": False})
        assert "Do not edit yet" not in model.prompts[-1], "the one file that is named is asked for"


async def test_a_part_is_applied_only_where_somebody_says_so(shop):
    async with planning(shop, {"shop/page.py": "I would rather not."}) as (editor, _):
        uris = editor.open_all(shop)
        for answer in (None, CHANGE_NOTHING):
            editor.answer = answer
            done = await editor.command(
                "foreword.edit", {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]}
            )
            assert not done["applied"] and not editor.applied and "shop/page.py" in done["reason"]
        question = editor.questions[-1].message
        assert "2 of the planned files only" in question and "shop/page.py" in question
        assert editor.states()[-1] == ["done", "failed", "done"]

        editor.answer = APPLY_PART
        done = await editor.command("foreword.edit", {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]})
        assert done["applied"] and "shop/page.py" in done["missing"][0] and len(editor.applied) == 1
        assert editor.texts[uris["shop/page.py"]] == FILES["shop/page.py"]
        assert editor.texts[uris["shop/cart.py"]] == CHANGED


async def test_a_client_that_takes_an_edit_as_it_is_gets_no_part(shop):
    async with planning(shop, {"shop/page.py": "No."}, resolves=["edit"]) as (editor, _):
        uris = editor.open_all(shop)
        (action,) = [
            each for each in await editor.actions(uris["shop/cart.py"], 0) if "callers" in each.title
        ]
        with pytest.raises(JsonRpcException, match=r"only a part of it could be done: shop/page\.py"):
            await editor.client.code_action_resolve_async(action)
        assert not editor.questions


async def test_a_client_may_take_files_off_a_plan(shop):
    async with planning(shop, ours={"confirmPlan": True}) as (editor, model):
        uris = editor.open_all(shop)
        instructed = {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]}
        done = await editor.command("foreword.edit", instructed)
        assert not done["applied"] and "the plan was declined" in done["reason"] and model.asked == ["plan"]
        editor.kept = ["shop/cart.py", "tests/test_cart.py"]
        done = await editor.command("foreword.edit", instructed)
        assert done["applied"] and model.asked[2:] == editor.kept and not done["missing"]


@pytest.mark.parametrize("by", ["request", "progress"])
async def test_cancelled_in_the_second_step(shop, by):
    async with planning(shop) as (editor, model):
        model.held_at = "shop/page.py"
        uris = editor.open_all(shop)
        params = types.ExecuteCommandParams(
            "foreword.edit",
            arguments=[{"instruction": DISCOUNT, "uri": uris["shop/cart.py"]}],
            work_done_token="of the client",
        )
        running = asyncio.ensure_future(
            editor.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params, "the-edit")
        )
        await asyncio.wait_for(model.held.wait(), PATIENCE_S)
        if by == "request":
            editor.client.cancel_request(types.CancelParams(id="the-edit"))
            with pytest.raises(JsonRpcRequestCancelled):
                await running
        else:
            cancel = types.WorkDoneProgressCancelParams("of the client")
            editor.client.window_work_done_progress_cancel(cancel)
            assert await asyncio.wait_for(running, PATIENCE_S) is None
        await asyncio.wait_for(
            model.left.wait(), PATIENCE_S
        )  # the server has hung up: nothing is written for nobody
        assert not editor.applied and {path: editor.texts[uri] for path, uri in uris.items()} == FILES
        assert model.asked == ["plan", "shop/cart.py", "shop/page.py"]
        notes = editor.progress["of the client"]
        assert notes[0]["kind"] == "begin" and notes[0]["cancellable"]
        async with asyncio.timeout(PATIENCE_S):
            while notes[-1] != {"kind": "end", "message": "cancelled"}:
                await asyncio.sleep(0.02)

        model.held_at = ""
        done = await editor.command("foreword.edit", {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]})
        assert done["applied"], "the next one works"


async def test_one_stale_document_of_several_changes_nothing(shop):
    async with planning(shop) as (editor, model):
        uris = editor.open_all(shop)

        async def moved_on() -> None:
            while "tests/test_cart.py" not in model.asked:
                await asyncio.sleep(0.005)
            editor.replace(uris["shop/cart.py"], "print('all of it is another')\n")
            model.may_end.set()

        model.waits_at = "tests/test_cart.py"
        moving = asyncio.create_task(moved_on())
        done = await editor.command("foreword.edit", {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]})
        await moving
        assert not done["applied"] and "shop/cart.py" in done["reason"] and not editor.applied


async def test_a_small_model_is_neither_offered_nor_given_an_edit_of_several_files(shop):
    async with planning(shop, model="tiny-0.5b") as (editor, model):
        uris = editor.open_all(shop)
        assert not [
            each for each in titles(await editor.actions(uris["shop/cart.py"], 0)) if "callers" in each
        ]
        why = (await editor.status())["edits"]["reason"]
        assert "0.5 billion" in why and "foreword.edit.largeEngine" in why
        instructed = {"instruction": DISCOUNT, "uri": uris["shop/cart.py"]}
        plan = await editor.command("foreword.plan", instructed)
        assert plan["reason"] == why and not plan["files"] and why in editor.messages[-1]
        done = await editor.command("foreword.edit", instructed | {"plan": True})
        assert not done["applied"] and done["reason"] == why and not model.asked
        model.answers["plan"] = ANSWERS["shop/cart.py"]  # what it is asked for is that file, without a plan
        done = await editor.command("foreword.edit", instructed)
        assert done["applied"] and done["files"] == [uris["shop/cart.py"]] and len(model.asked) == 1
