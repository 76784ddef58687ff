"""A value that one tool returned reaches others unseen; a secret reaches the worker and is read nowhere else."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.files.secrets import revealed
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput, ToolDeclined, ToolError
from maestro.pager.dispatch import ToolCall
from maestro.pager.request import ModelRequest
from maestro.testing.harness import Harness, anywhere
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.context import HIDDEN, ToolContext, Variable, field_at, scrubbed
from maestro.tools.spec import tool

CANARY = "s3cr3t-canary-7f"
GIVEN: list[dict[str, Any]] = []
"""What the tools were really given."""


@tool(side_effect="idempotent", trusted_output=True)
def login(user: str) -> dict[str, JsonValue]:
    """Opens a session."""
    return {"session": {"id": f"{CANARY}-{user}", "desk": 12}, "greeting": f"hello, {CANARY}-{user}"}


@tool(side_effect="pure", trusted_output=True)
def orders(session: str, desk: int, since: str = "ever") -> dict[str, JsonValue]:
    """The orders of a session."""
    GIVEN.append({"session": session, "desk": desk})
    if since == "broken":
        raise RuntimeError(f"the session {session} is not known")
    return {"orders": [1, 2], "echo": f"session={session}"}


TOOLS = (login, orders)


class Memory(BaseModel):
    heard: list[JsonValue] = []


class Clerk(Behaviour[Memory]):
    tool_context = ToolContext(
        Variable("session", capture_from=[("login", "session.id")], inject_into=["orders"], secret=True),
        Variable("desk", capture_from=[("login", "session.desk")], inject_into=["orders"]),
    )

    async def start(self, tick: Tick[Memory]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Memory], message: Mail) -> Closing | None:
        if message.body == "ask a model":
            tick.state.heard.append(await tick.think_with(TOOLS, "what is there?"))
            return Sleep.until_woken()
        name, *given = json.loads(str(message.body))
        try:
            tick.state.heard.append(await tick.use(name, **(given[0] if given else {})))
        except ToolError as error:
            tick.state.heard.append(str(error))
        return Finish(result=None) if name == "end" else Sleep.until_woken()


@pytest.fixture(autouse=True)
def nothing_given() -> None:
    GIVEN.clear()


def everything(harness: Harness) -> str:
    """All that is kept or told of everybody: checkpoints, logs, journals, facts, prompts, and what was logged."""
    told: list[Any] = [harness.world.log]
    for case in harness.all():
        told += [case.shown, case.why, list(case.log)]
        glance = harness.look(harness.world.backend.records.glance(case.id))
        told += [glance, harness.look(harness.world.backend.journals.entries(case.id))]
    return repr(told)


@pytest.mark.spec("04.7")
def test_what_login_returned_reaches_later_calls_and_is_read_nowhere() -> None:
    prompts: list[ModelRequest] = []

    def model(request: ModelRequest) -> Any:
        prompts.append(request)
        said = sum(message.role == "assistant" for message in request.messages)
        script = [
            [ToolCall(id="1", name="login", arguments={"user": "ann"})],
            [ToolCall(id="1", name="orders", arguments={})],
        ]
        return script[said] if said < 2 else request.messages[-1].content

    with Harness(Clerk, tools=TOOLS, answer=model) as harness:
        clerk = harness.start(Clerk)
        clerk.send("ask a model")
        assert GIVEN[0] == {"session": f"{CANARY}-ann", "desk": 12}
        assert clerk.state["heard"] == [f'{{"orders":[1,2],"echo":"session={HIDDEN}"}}']
        clerk.send('["orders"]')
        assert len(GIVEN) == 2, "it is remembered in later ticks"

        assert CANARY not in everything(harness)
        assert CANARY not in "".join(request.model_dump_json() for request in prompts)
        shown = [{each.name: set(each.parameters["properties"]) for each in request.tools} for request in prompts]  # type: ignore[arg-type]
        assert shown[0]["orders"] == {"session", "desk", "since"}, "without a value it stays visible"
        assert shown[1]["orders"] == {"since"}, "what is filled in is not shown"


def test_an_error_that_names_the_secret_is_told_without_it() -> None:
    with Harness(Clerk, tools=TOOLS) as harness:
        clerk = harness.start(Clerk)
        clerk.send('["login", {"user": "ann"}]')
        clerk.send('["orders", {"since": "broken"}]')
        assert HIDDEN in clerk.state["heard"][-1]
        assert CANARY not in everything(harness)


def test_without_a_value_the_call_has_to_bring_it() -> None:
    with Harness(Clerk, tools=TOOLS) as harness:
        clerk = harness.start(Clerk)
        clerk.send('["orders"]')
        assert "session: Field required" in clerk.state["heard"][0]
        clerk.send('["orders", {"session": "mine", "desk": 1}]')
        assert GIVEN == [{"session": "mine", "desk": 1}]


def test_what_was_captured_is_remembered_wherever_a_process_dies() -> None:
    def scenario(harness: Harness) -> Any:
        GIVEN.clear()
        clerk = harness.start(Clerk)
        clerk.send('["login", {"user": "ann"}]')
        clerk.send('["orders"]')
        return GIVEN[-1], clerk.state["heard"][-1]

    expected, outcomes = anywhere(scenario, Clerk, tools=TOOLS)
    assert expected[0] == {"session": f"{CANARY}-ann", "desk": 12}
    assert outcomes
    assert all(outcome == expected for outcome in outcomes)


def test_a_reference_leads_to_a_private_file_or_a_variable_that_is_not_ours(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n")
    with pytest.raises(ToolDeclined, match="no secret at"):
        revealed(f"file:{file}")
    file.chmod(0o600)
    assert revealed(f"file:{file}") == CANARY
    monkeypatch.setenv("SHOP_KEY", CANARY)
    assert revealed("env:SHOP_KEY") == CANARY
    for place in ("env:MAESTRO_REDIS_URL", "env:RAY_AUTH_TOKEN", "env:NOT_THERE", "plain words"):
        monkeypatch.setenv("MAESTRO_REDIS_URL", "redis://here")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "t")
        with pytest.raises(ToolDeclined):
            revealed(place)


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"name": "a", "reference": "env:A"}, "secret"),
        ({"name": "a", "secret": True, "initial": "x"}, "initial"),
        ({"name": "no name!"}, "variable"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declared: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Variable(**declared)
    assert refused.value.field == field


def test_the_short_form_says_the_same() -> None:
    short = ToolContext.of(capture={"login": "session_id"}, inject={"session": "session_id"})
    assert [(each.name, each.goes_to) for each in short.for_tool("orders")] == [("session_id", "session")]
    assert [(each.name, path) for each, path in short.captured_from("login")] == [("session_id", "session_id")]


def test_fields_are_found_by_their_path_and_secrets_wherever_they_stand() -> None:
    assert field_at({"a": [{"b": 5}]}, "a.0.b") == 5
    assert field_at({"a": [1]}, "a.1") is None
    assert field_at("text", "a") is None
    told = scrubbed({"x": ["key=12345", 12345, 6], "12345": True}, ["12345"])
    assert told == {"x": [f"key={HIDDEN}", HIDDEN, 6], HIDDEN: True}
