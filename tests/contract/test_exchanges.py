"""A model with tools on every store: its turns, artifacts and secrets are there when a person's word has come."""

import base64
import hashlib
from collections import Counter

import orjson
import pytest
from pydantic import BaseModel, JsonValue

from maestro.continuation.artifact import artifact_in
from maestro.continuation.directive import Closing, Finish
from maestro.continuation.remembered import secret_block
from maestro.ids import ContinuationId
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult, ToolCall
from maestro.pager.request import ModelRequest
from maestro.runtime import artifacts as kept
from maestro.runtime import freight, verbs
from maestro.runtime.backend import Backend
from maestro.runtime.verification import verified
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.context import ToolContext, Variable
from maestro.tools.spec import tool
from tests.stage import Stage, result

CANARY = "the-session-of-ann"
DONE: Counter[str] = Counter()


@tool(side_effect="idempotent", trusted_output=True)
async def login() -> dict[str, JsonValue]:
    """A session."""
    DONE["login"] += 1
    return {"session": CANARY}


@tool(side_effect="pure", trusted_output=True)
async def page() -> str:
    """A long page."""
    DONE["page"] += 1
    return "long " * 4_000


@tool(side_effect="unsafe", risk="high", trusted_output=True)
async def order(session: str) -> str:
    """Goes out."""
    DONE[f"order {session}"] += 1
    return f"ordered with {session}"


TOOLS = (login, page, order)
TURNS = (("login", "page"), ("order",), ())


class Said(BaseModel):
    text: str = ""


class Shopper(Behaviour[Said]):
    tool_context = ToolContext(
        Variable("session", capture_from=[("login", "session")], inject_into=["order"], secret=True)
    )

    async def start(self, tick: Tick[Said]) -> Closing | None:
        return Finish(result=await tick.think_with(TOOLS, "order something"))


class Model:
    """Says in its n-th turn what stands in TURNS; it counts its turns by what it has said before."""

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.requests.append(request)
        turn = sum(message.role == "assistant" for message in request.messages)
        calls = tuple(ToolCall(id="any", name=name, arguments={}) for name in TURNS[turn])
        content = "" if calls else request.messages[-1].content
        return result(request, content).model_copy(update={"tool_calls": calls})


@pytest.fixture
def model() -> Model:
    DONE.clear()
    return Model()


@pytest.fixture
def stage(backend: Backend, model: Model) -> Stage:
    stage = Stage(backend, Shopper, tools=TOOLS)
    stage.desk = PagerDesk(model, JournaledAnswers(backend.journals))
    stage.pager = stage.desk
    return stage


async def asking(stage: Stage) -> ContinuationId:
    """One whose model has asked for what a person has to allow."""
    cid = await stage.start(Shopper)
    await stage.settle()
    wait = (await stage.checkpoint(cid)).wait
    assert wait is not None
    assert wait.type == "approval_resolution"
    return cid


async def test_it_goes_on_in_its_midst_and_nothing_is_done_again(stage: Stage, model: Model) -> None:
    cid = await asking(stage)
    assert DONE == {"login": 1, "page": 1}
    await verbs.decide(stage.at, cid, "", approved=True)
    await stage.settle()
    done = await stage.checkpoint(cid)
    assert (done.status, done.result) == ("completed", "ordered with [secret]")
    assert {"login": 1, "page": 1, f"order {CANARY}": 1} == DONE
    assert len(model.requests) == 3
    assert (await verified(stage.at, cid)).damages == ()
    (found,) = await kept.artifacts(stage.at, cid)
    _, body = await kept.content(stage.at, cid, found.artifact.id)
    assert body == b"long " * 4_000
    await stage.audit()


async def test_no_prompt_log_checkpoint_or_journal_holds_the_secret(stage: Stage, model: Model) -> None:
    cid = await asking(stage)
    journal = await stage.backend.journals.entries(cid)
    await verbs.decide(stage.at, cid, "", approved=True)
    await stage.settle()
    told = [repr(journal), *(request.model_dump_json() for request in model.requests)]
    told += [repr(await verbs.record_bodies(stage.at, cid)), (await stage.checkpoint(cid)).model_dump_json()]
    assert [each for each in told if CANARY in each] == []


async def test_an_export_of_an_open_tick_has_what_its_journal_needs(stage: Stage) -> None:
    cid = await asking(stage)
    exported = await freight.export(stage.at, cid, "a test", move=False)
    lines = [orjson.loads(line) for line in exported.splitlines()]
    names = {hashlib.sha256(base64.b64decode(line["block"])).hexdigest() for line in lines if "block" in line}
    answers = [entry.answer for entry in await stage.backend.journals.entries(cid) if entry.answered]
    artifacts = [artifact.id for answer in answers if (artifact := artifact_in(answer)) is not None]
    secrets = [
        secret_block(each)
        for answer in answers
        if isinstance(answer, dict) and isinstance(captured := answer.get("captured"), dict)
        for each in captured.values()
    ]
    assert len(artifacts) == len(secrets) == 1
    assert {*artifacts, *secrets} <= names
