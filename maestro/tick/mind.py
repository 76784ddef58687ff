"""Thinking: from a question to a journaled answer.

    compose the field -> decide the step -> reserve and journal the intent -> call
        -> (the pager journals and settles) -> answer

Invariants: no call leaves without a durable reservation of its worst price; an answered question is never composed,
decided or asked again; the decision, with the rule that fired, is journaled beside the intent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import JsonValue

from maestro.budget.ledger import Account
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.mail import Mail
from maestro.errors import BudgetExceededError, InvalidInput, ProvidersExhausted
from maestro.field.compose import Composed, compose
from maestro.field.project import Weighed
from maestro.field.shelf import Shelf
from maestro.pager.dispatch import Message, ModelCallResult
from maestro.pager.prices import PriceTable
from maestro.pager.request import ModelRequest, input_bound_tokens
from maestro.policy.decision import Decision, Mode
from maestro.policy.gradient import Step
from maestro.policy.kernel import decide
from maestro.policy.price import CallSize
from maestro.policy.question import PolicyConfig, Question
from maestro.tick.journal import Answered, Journal, new_intent
from maestro.tick.store import Adopted, JournalEntry
from maestro.tick.thought import Thought

FIELD_ENTRIES = 20  # the top of the field that is offered to one call
CONTEXT_TOKENS = 24_000  # of one prompt; well inside the smallest window of the tiers
DIGEST_MAILS = 20


class Pager(Protocol):
    """Whoever answers model calls, once per call id, and makes each answer durable before it returns."""

    async def call(self, request: ModelRequest) -> ModelCallResult:
        """The durable answer.

        Raises:
            ModelError: the durable failure.
        """
        ...


@dataclass(frozen=True, slots=True)
class Faculties:
    """What thinking needs from outside a tick; the same for all ticks of a process."""

    shelf: Shelf
    pager: Pager
    prices: PriceTable
    config: PolicyConfig


class ThinkingMind:
    """maestro.tick.context.Mind over field, policy kernel and pager."""

    def __init__(
        self, faculties: Faculties, adopted: Adopted, before: Checkpoint, journal: Journal, inbox: Sequence[Mail]
    ) -> None:
        self._with = faculties
        self._adopted = adopted
        self._before = before
        self._journal = journal
        self._digest = _digest(adopted.mail, inbox)
        self._taken: dict[int, BudgetVector] = {}

    async def top(self, n: int) -> Sequence[Weighed]:
        return await self._with.shelf.top(self._adopted.cid, n, self._adopted.now_ms)

    async def think(self, thought: Thought) -> str:
        ordinal = self._journal.next_ordinal()
        known = self._journal.known(ordinal, "model", thought.key)
        if known is not None and known.answered:
            return _content(await self._journal.answer(known, _unreachable))
        composed = await self._composed(thought)
        intended = known or await self._intend(ordinal, thought, composed)

        async def ask(entry: JournalEntry) -> Answered:
            result = await self._with.pager.call(self._request(entry, composed, thought))
            self._taken[ordinal] = result.charge
            return result.model_dump(mode="json"), result.charge

        return _content(await self._journal.answer(intended, ask))

    async def _intend(self, ordinal: int, thought: Thought, composed: Composed) -> JournalEntry:
        """The decision is journaled and its worst price reserved; what is intended already is not decided again."""
        decision = self._decide(thought, composed)
        price = self._price(decision, composed, thought)
        entry = await self._journal.intend(new_intent(ordinal, "model", thought.key, price, _words(decision)))
        self._taken[ordinal] = price
        return entry

    async def _composed(self, thought: Thought) -> Composed:
        asked = f"{thought.question}\n\n# About\n{thought.about}" if thought.about else thought.question
        entries = await self.top(FIELD_ENTRIES)
        return compose(self._before.goal, entries, asked, self._digest, CONTEXT_TOKENS)

    def _decide(self, thought: Thought, composed: Composed) -> Decision:
        """The step that the kernel allows now.

        Raises:
            BudgetExceededError: the kernel waits for budget.
            ProvidersExhausted: the kernel comes back later.
        """
        try:
            asked = Step(thought.step)
        except ValueError:
            raise InvalidInput(
                f"{thought.step!r} is no step", field="step", hint=f"use one of {', '.join(Step)}"
            ) from None
        size = CallSize(composed.manifest.tokens, thought.max_output_tokens)
        accounts = self._accounts()
        question = Question(
            size=size, prices=self._with.prices.expected(), asked=asked, budget=(accounts,), config=self._with.config
        )
        decision = decide(question)
        if decision.lacking is not None:
            free = accounts[decision.lacking].free or 0
            needed = decision.cost.vector()[decision.lacking]
            raise BudgetExceededError(
                f"no step can be paid: {decision.reason}",
                field=f"budget.{decision.lacking}",
                hint=f"grant more with `maestro rebudget {self._adopted.cid} {decision.lacking}=+{needed}`",
                resource=decision.lacking,
                asked=needed,
                free=free,
            )
        if decision.mode is Mode.YIELD:
            raise ProvidersExhausted(f"not now: {decision.reason}", retry_after_ms=decision.resume_in_ms)
        return decision

    def _accounts(self) -> dict[str, Account]:
        """The accounts as they are now: as adopted, less what this tick has reserved and spent since."""
        return {
            name: replace(account, reserved=account.reserved + sum(price[name] for price in self._taken.values()))
            for name, account in self._adopted.ledger.accounts.items()
        }

    def _price(self, decision: Decision, composed: Composed, thought: Thought) -> BudgetVector:
        bound = input_bound_tokens(_messages(composed), composed.system, (), thought.json_schema)
        return self._with.prices.maximum(decision.tier, bound, thought.max_output_tokens)

    def _request(self, entry: JournalEntry, composed: Composed, thought: Thought) -> ModelRequest:
        step = _decided(entry)
        return ModelRequest(
            call_id=entry.call_id,
            cid=self._adopted.cid,
            ordinal=entry.ordinal,
            tenant=self._before.tenant,
            tier=step.tier,
            step=step,
            messages=_messages(composed),
            system=composed.system,
            answer_schema=thought.json_schema,
            max_output_tokens=thought.max_output_tokens,
            price=entry.price,
            manifest_hash=composed.manifest.hash,
        )


async def _unreachable(entry: JournalEntry) -> Answered:
    raise AssertionError(f"effect {entry.ordinal} is answered: it is not carried out again")


def _messages(composed: Composed) -> tuple[Message, ...]:
    return tuple(Message(role=message.role, content=message.content) for message in composed.messages)


def _content(answer: JsonValue) -> str:
    return str(answer["content"]) if isinstance(answer, dict) else str(answer)


def _words(decision: Decision) -> str:
    return f"{decision.step}: {decision.reason}"


def _decided(entry: JournalEntry) -> Step:
    """The step that an entry was journaled, and its price reserved, for."""
    return Step((entry.decision or "").partition(":")[0])


def _digest(mail: Sequence[Mail], inbox: Sequence[Mail]) -> str:
    """The unread mail that is not being read now: from whom and about what, never its content."""
    read = {letter.id for letter in inbox}
    unread = [letter for letter in mail if letter.id not in read]
    if not unread:
        return ""
    lines = [f"- {letter.kind} from {letter.sender}: {letter.subject}" for letter in unread[:DIGEST_MAILS]]
    more = len(unread) - len(lines)
    return "\n".join([f"Unread mail ({len(unread)}):", *lines, *([f"- and {more} more"] if more else [])])
