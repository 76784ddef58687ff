"""A model with tools: each turn bought once, each call made once, wherever a process dies; and no tool not given."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish
from maestro.errors import InvalidInput, TurnsExhausted
from maestro.pager.dispatch import ToolCall
from maestro.pager.prices import Price
from maestro.pager.request import ModelRequest, input_bound_tokens
from maestro.runtime.verbs import checkpoint_of
from maestro.runtime.verification import verified
from maestro.testing.faults import CutPoint
from maestro.testing.harness import Case, Harness, anywhere
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.exchange import Toolset
from maestro.tools.attention import NEED_TOOL, ToolAttention
from maestro.tools.spec import Tool, tool

DEATHS = int(os.environ.get("TOOL_DEATHS") or 0)
"""At least each place once; `make tools` tries 1,000."""
DONE: Counter[str] = Counter()
UNDER_WAY: Counter[str] = Counter()


@tool(side_effect="pure", trusted_output=True)
async def weather(town: str) -> dict[str, JsonValue]:
    """How the weather is in a town."""
    DONE[f"weather {town}"] += 1
    UNDER_WAY["now"] += 1
    UNDER_WAY["most"] = max(UNDER_WAY["most"], UNDER_WAY["now"])
    await asyncio.sleep(0)
    UNDER_WAY["now"] -= 1
    return {"town": town, "sun": True}


@tool(name="bank.transfer", side_effect="unsafe", risk="high", trusted_output=True)
def transfer(to: str, cents: int) -> str:
    """Money goes to somebody."""
    DONE[f"transfer {to}"] += 1
    return f"receipt {DONE[f'transfer {to}']}"


@tool(side_effect="pure")
def page(url: str) -> str:
    """What stands on a page."""
    DONE["page"] += 1
    return "x" * 20_000


GIVEN = (weather, transfer, page)


class Answer(BaseModel):
    text: str = ""
    asked: int = 0


class Assistant(Behaviour[Answer]):
    """Lets a model with tools answer what its input asks."""

    given: Toolset | Sequence[Tool] = GIVEN

    async def start(self, tick: Tick[Answer]) -> Closing | None:
        try:
            tick.state.text = await tick.think_with(self.given, str(tick.about.input))
        except (TurnsExhausted, InvalidInput) as error:
            return Finish(result=error.code)
        return Finish(result=tick.state.text)


def call(name: str, **arguments: JsonValue) -> ToolCall:
    return ToolCall(id="the same for all", name=name, arguments=arguments)


def turns(*script: Callable[[ModelRequest], Any] | Any) -> Callable[[ModelRequest], Any]:
    """A model that says the n-th thing in its n-th turn: it knows which by what it has said before."""

    def say(request: ModelRequest) -> Any:
        number = sum(message.role == "assistant" for message in request.messages)
        said = script[min(number, len(script) - 1)]
        return said(request) if callable(said) else said

    return say


def told(request: ModelRequest) -> list[str]:
    """What the tools said in the last turn."""
    last = max(n for n, message in enumerate(request.messages) if message.role == "assistant")
    return [message.content for message in request.messages[last + 1 :]]


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()
    UNDER_WAY.clear()


def asked(question: str, answer: Callable[[ModelRequest], Any]) -> tuple[Any, Harness]:
    with Harness(Assistant, tools=GIVEN, answer=answer) as harness:
        case = harness.start(Assistant, input=question, scopes=["*"])
        return case.result, harness


def test_a_model_is_told_what_its_tools_said_and_then_answers() -> None:
    model = turns([call("weather", town="Ulm")], lambda request: " ".join(told(request)))
    result, harness = asked("how is it in Ulm?", model)
    assert result == '{"town":"Ulm","sun":true}'
    assert DONE == {"weather Ulm": 1}
    assert len(harness.world.provider.bills) == 2


def transferring(harness: Harness) -> Any:
    """A model that looks twice at once, then pays; a person approves, and knows what is so."""
    case = harness.start(Assistant, input=f"pay {len(DONE)}", scopes=["*"])
    for _ in range(12):
        if case.status == "completed":
            return case.result
        wait: Any = case.shown["wait"]
        match wait and wait["type"]:
            case "approval_resolution":
                case.approve(wait["approval_id"])
            case "user_reply":
                case.reply('yes "receipt 1"' if DONE["transfer bob"] else "again")
            case _:
                harness.advance(minutes=10)
    raise AssertionError(f"it does not come to an end: {case.why}")


PAYING = turns(
    [call("weather", town="Ulm"), call("weather", town="Bonn")],
    [call("bank__transfer", to="bob", cents=5)],
    lambda request: f"done: {told(request)[0]}",
)


@pytest.mark.shows("5.8")
def test_no_turn_is_bought_twice_and_nothing_unsafe_done_twice_wherever_a_process_dies() -> None:
    with Harness(Assistant, tools=GIVEN, answer=PAYING, unlucky=(quiet := CutPoint())) as harness:
        assert transferring(harness) == "done: receipt 1"
        assert len({bill.call_id for bill in harness.world.provider.bills}) == 3
    struck: Counter[str] = Counter()
    places = [(at, after) for at in range(1, quiet.calls + 1) for after in (False, True)]
    for run in range(max(DEATHS, len(places))):
        at, after = places[run % len(places)]
        DONE.clear()
        cut = CutPoint(at, after)
        with Harness(Assistant, tools=GIVEN, answer=PAYING, seed=run // len(places), unlucky=cut) as harness:
            assert transferring(harness) == "done: receipt 1"
            assert len({bill.call_id for bill in harness.world.provider.bills}) == 3, f"bought again, cut: {cut.cut}"
        assert DONE["transfer bob"] == 1, f"cut: {cut.cut}"
        struck[str(cut.cut)] += 1
    assert {"record", "settle", "commit"} <= {place.rpartition(".")[2] for place in struck}
    print(f"{struck.total() - struck['None']} deaths at {len(places)} places of an exchange")


def test_it_sleeps_until_a_person_has_said_so_and_goes_on_there() -> None:
    with Harness(Assistant, tools=GIVEN, answer=PAYING) as harness:
        case = harness.start(Assistant, input="pay", scopes=["*"])
        assert "use bank.transfer" in case.why
        assert DONE == {"weather Ulm": 1, "weather Bonn": 1}
        harness.advance(hours=20)
        assert len(harness.world.provider.bills) == 2, "while it sleeps nobody is asked anything"
        case.approve()
        assert (case.result, DONE["transfer bob"]) == ("done: receipt 1", 1)
        assert DONE["weather Ulm"] == 1


def test_what_a_person_denies_the_model_is_told() -> None:
    model = turns([call("bank__transfer", to="bob", cents=5)], lambda request: told(request)[0])
    with Harness(Assistant, tools=GIVEN, answer=model) as harness:
        case = harness.start(Assistant, input="pay", scopes=["*"])
        case.deny()
        assert '"code":"tool_denied"' in str(case.result)
    assert DONE == {}


@pytest.mark.parametrize("name", ["erase", "WEATHER", "wеather", "bank.transfer", "x" * 10_000, ""])
def test_a_tool_that_it_was_not_given_is_refused_whatever_it_is_called(name: str) -> None:
    model = turns([call(name, town="Ulm")], lambda request: told(request)[0])
    result, _ = asked("do it", model)
    assert '"code":"tool_not_found"' in result
    assert DONE == {}


@pytest.mark.spec("04.10")
def test_of_a_thousand_calls_in_one_turn_eight_are_made_five_at_a_time_and_named_by_us() -> None:
    seen: list[ModelRequest] = []

    def last(request: ModelRequest) -> str:
        seen.append(request)
        return told(request)[-1]

    result, _ = asked("everywhere", turns([call("weather", town=f"town {n}") for n in range(1_000)], last))
    assert "992 more calls were not made" in result
    assert sum(DONE.values()) == 8
    assert UNDER_WAY["most"] == 5
    made = next(message for message in seen[0].messages if message.tool_calls)
    assert len({each.id for each in made.tool_calls}) == 8


def test_who_never_answers_is_stopped() -> None:
    result, harness = asked("again", turns([call("weather", town="Ulm")]))
    assert result == "turns_exhausted"
    assert len(harness.world.provider.bills) == 8
    assert DONE == {"weather Ulm": 7}, "what would be told to nobody is not asked"


def test_arguments_that_do_not_fit_and_results_that_are_large_are_told_as_such() -> None:
    model = turns([call("weather", town=5), call("page", url="u")], lambda request: " ".join(told(request)))
    result, _ = asked("look", model)
    assert '"code":"tool_validation"' in result
    assert '"size_bytes":20000' in result
    assert len(result) < 2_000


def made(number: int) -> Tool:
    @tool(name=f"tool_{number}", side_effect="pure", description=f"Does the thing {chr(97 + number)}{number}.")
    def thing() -> int:
        DONE[f"thing {number}"] += 1
        return number

    return thing


MANY = tuple(made(number) for number in range(20))


class Busy(Assistant):
    given = MANY


@pytest.mark.spec("04.6")
def test_of_many_tools_few_are_shown_and_the_needed_one_is_reached_by_asking() -> None:
    shown: list[list[str]] = []

    def say(request: ModelRequest) -> Any:
        shown.append([each.name for each in request.tools])
        number = len(shown)
        if number == 1:
            return [call(NEED_TOOL, description="the thing s18")]
        return [call("tool_18")] if number == 2 else told(request)[0]

    with Harness(Busy, tools=MANY, answer=say) as harness:
        case = harness.start(Busy, input="do the thing b1", scopes=["*"])
        assert case.result == "18"
        first, second, third = (set(each) - {NEED_TOOL} for each in shown)
        assert (len(first), len(second)) == (3, 6)
        assert "tool_18" in second - first
        assert third == second, "the set stays"
        assert harness.look(checkpoint_of(harness.world.at, case.id)).tools.shown == tuple(sorted(third))
    assert DONE == {"thing 18": 1}


LISTED = Price(
    input_micros_per_mtok=3_000_000,
    output_micros_per_mtok=15_000_000,
    cache_read_micros_per_mtok=300_000,
    cache_creation_micros_per_mtok=3_750_000,
)
"""What a million tokens cost on a well known list: cached ones a tenth, to be cached a quarter more."""
CLERKS = tuple(made(number) for number in range(50))


def ten_turns(attention: ToolAttention) -> list[ModelRequest]:
    """The requests of one task with fifty tools, in ten turns."""
    requests: list[ModelRequest] = []

    class Clerk(Assistant):
        given = Toolset(CLERKS, max_turns=10, attention=attention)

    def say(request: ModelRequest) -> Any:
        requests.append(request)
        return "done" if len(requests) == 10 else [call("tool_1")]

    with Harness(Clerk, tools=CLERKS, answer=say) as harness:
        assert harness.start(Clerk, input="do the thing b1").result == "done"
    return requests


def cost(requests: Sequence[ModelRequest], caching: bool) -> tuple[int, int]:
    """(tokens, micro-dollars) of the input; with caching, what stands before the exchange is read from the cache."""
    tokens = micros = 0
    warm: tuple[Any, ...] | None = None
    for request in requests:
        whole = input_bound_tokens(request.messages, request.system, request.tools)
        first = request.messages[: request.stable_messages]
        prefix = input_bound_tokens(first, request.system, request.tools) if caching else 0
        same = (request.tools, request.system, first)
        tokens += whole
        rate = LISTED.cache_read_micros_per_mtok if same == warm else LISTED.cache_creation_micros_per_mtok
        micros += (whole - prefix) * LISTED.input_micros_per_mtok + prefix * (rate or 0)
        warm = same
    return tokens, micros // 1_000_000


@pytest.mark.spec("04.6")
def test_attention_saves_tokens_and_money_over_ten_turns_with_caching_and_without() -> None:
    few, all_ = ten_turns(ToolAttention()), ten_turns(ToolAttention(enabled=False))
    assert all(request.tools == few[0].tools for request in few), "the set is the same in all ten turns"
    for caching in (False, True):
        (tokens, micros), (most, dearest) = cost(few, caching), cost(all_, caching)
        print(f"caching {caching}: {tokens} tokens of {most}, {micros} micro-dollars of {dearest}")
        assert tokens < 0.7 * most
        assert micros < 0.7 * dearest


def test_two_tools_that_a_model_cannot_tell_apart_are_refused() -> None:
    @tool(name="bank__transfer", side_effect="pure")
    def other() -> int:
        """Another."""
        return 1

    class Confused(Assistant):
        given = (transfer, other)

    with Harness(Confused, tools=GIVEN) as harness:
        assert harness.start(Confused, input="x").result == "invalid_input"


def test_the_log_of_an_exchange_is_verified_and_each_part_of_it_is_kept_once() -> None:
    with Harness(Assistant, tools=GIVEN, answer=PAYING) as harness:
        case: Case = harness.start(Assistant, input="pay", scopes=["*"])
        case.approve()
        found = harness.look(verified(harness.world.at, case.id))
        assert found.damages == ()
        assert [effect["kind"] for effect in case.log[-1]["effects"]] == [
            "model",
            "tool",
            "tool",
            "model",
            "tool",
            "model",
        ]


def test_anywhere_gives_the_same_answer() -> None:
    model = turns([call("weather", town="Ulm")], lambda request: told(request)[0])
    expected, outcomes = anywhere(
        lambda harness: harness.start(Assistant, input="x", scopes=["*"]).result, Assistant, tools=GIVEN, answer=model
    )
    assert outcomes
    assert set(map(str, outcomes)) == {str(expected)}
