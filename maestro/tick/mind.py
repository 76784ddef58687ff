"""Thinking: from a question to a journaled answer.

    compose the field -> decide the step -> reserve and journal the intent -> call
        -> (the pager journals and settles) -> answer

A call that the kernel wants asynchronous, or in a batch, is placed in place of made: see maestro.tick.placing. What
it wants a child to do, a child does: see maestro.tick.apart.

Invariants: no call leaves without a durable reservation of its worst price; an answered question is never composed,
decided or asked again; the decision, with the rule that fired, is journaled beside the intent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, Protocol

from pydantic import JsonValue

from maestro.budget.ledger import Account
from maestro.budget.vector import BudgetVector
from maestro.continuation.blocks import kept
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.edits import Edits
from maestro.continuation.mail import Mail
from maestro.errors import BudgetExceededError, Declined, InvalidInput, ProvidersExhausted, ToolNotFound
from maestro.field.compose import compose
from maestro.field.project import Weighed
from maestro.field.shelf import Shelf
from maestro.ids import ContinuationId
from maestro.pager.advisor import reserved
from maestro.pager.dispatch import Mode as CallMode
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.load import IDLE, Look
from maestro.pager.placed import Placements
from maestro.pager.prices import PriceTable
from maestro.pager.request import DEFAULT_DEADLINE_MS, ModelRequest, input_bound_tokens
from maestro.policy.decision import Decision, Mode, Place
from maestro.policy.gradient import Step
from maestro.policy.kernel import decide
from maestro.policy.price import CallSize
from maestro.policy.question import PolicyConfig, Question
from maestro.policy.recorded import record_of, signals_of, terms_of
from maestro.tick import apart
from maestro.tick.asking import Prompt, kept_prompt, prompt_of, read_prompt
from maestro.tick.blocks import Keeper
from maestro.tick.conditions import conditions, room_of
from maestro.tick.deciding import mode_of, step_of, words_of
from maestro.tick.digest import in_prompt
from maestro.tick.handiwork import Handiwork
from maestro.tick.interruption import Interrupted
from maestro.tick.journal import Answered, Journal, new_intent
from maestro.tick.journals import Journals
from maestro.tick.placing import PATIENCE, Abreast, Patience, failure_of, is_lost, lost, place
from maestro.tick.reading import FieldReader
from maestro.tick.store import Adopted, JournalEntry
from maestro.tick.thought import STREAMED, Thought, Turn, streamed, turn_of
from maestro.tick.using import Use
from maestro.tick.workbench import Workbench
from maestro.tools.attention import Promoted
from maestro.tools.spec import Spec, Tool

FIELD_ENTRIES = 20  # the top of the field that is offered to one call
CONTEXT_TOKENS = 24_000  # of one prompt; well inside the smallest window of the tiers
FIELD_TAINT = "what the field or unread mail says"


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
    keeper: Keeper
    bench: Workbench | None = None
    """What tools are used at; None where there are none."""
    placements: Placements | None = None
    """Where calls are placed that nobody waits for; None waits for all."""
    patience: Patience = PATIENCE
    load: Look | None = None
    """How busy the pager is; None says that it is idle."""
    journals: Journals | None = None
    """Where children's answers become those of their parents; None thinks every part inline."""
    field_entries: int = FIELD_ENTRIES
    context_tokens: int = CONTEXT_TOKENS
    field_wait_ms: int = 0
    """How long the first reading of a tick waits for what was told before it."""


class ThinkingMind:
    """maestro.tick.context.Mind over field, policy kernel and pager."""

    def __init__(
        self, faculties: Faculties, adopted: Adopted, before: Checkpoint, journal: Journal, inbox: Sequence[Mail]
    ) -> None:
        self._with = faculties
        self._adopted = adopted
        self._before = before
        self._journal = journal
        self._mail = inbox
        self._digest = in_prompt(adopted.mail, inbox)
        self._reads_untrusted = any(mail.trust == "untrusted" for mail in adopted.mail)
        self._taken: dict[int, BudgetVector] = {}
        self._hands: Handiwork | None = None
        self._abreast = Abreast()
        self._field = FieldReader(
            faculties.shelf, adopted.cid, adopted.now_ms, faculties.field_wait_ms, partial(_taint, journal)
        )

    async def top(self, n: int, edits: Edits | None = None) -> Sequence[Weighed]:
        return await self._field.top(n) if edits is None else (await self._field.read(n, edits)).shown

    async def use(self, wish: Use) -> JsonValue:
        return await self._tools().use(wish)

    async def settled(self) -> None:
        if self._with.bench is not None:
            await self._tools().settled()

    @property
    def promoted(self) -> Promoted:
        memory = self._journal.memory
        return Promoted(memory.shown, memory.shown_for)

    @promoted.setter
    def promoted(self, shown: Promoted) -> None:
        memory = self._journal.memory
        self._journal.memory = memory.model_copy(update={"shown": shown.names, "shown_for": shown.goal})

    def tools(self, named: Sequence[str | Tool]) -> list[Tool]:
        return self._tools().tools(named)

    def shown(self, tools: Sequence[Tool]) -> list[Spec]:
        return self._tools().shown(tools)

    def _tools(self) -> Handiwork:
        if self._with.bench is None:
            raise ToolNotFound("there are no tools here", field="tool", hint="give this process a workbench")
        if self._hands is None:
            self._hands = Handiwork(self._with.bench, self._with.keeper, self._adopted, self._before, self._journal)
        return self._hands

    async def think(self, thought: Thought) -> str:
        return (await self.turn(thought)).content

    async def turn(self, thought: Thought) -> Turn:
        ordinal = self._journal.next_ordinal()
        try:
            async with self._abreast.thought():
                return turn_of(*await self._thought(ordinal, thought))
        except Interrupted as interrupted:
            await self._abreast.settled()
            raise Interrupted(interrupted.asked, tuple(self._abreast.births)) from None

    async def _thought(self, ordinal: int, thought: Thought) -> tuple[JsonValue, JsonValue]:
        """(the answer, the kept prompt that it answers)."""
        standing = self._journal.standing(ordinal)
        if standing is not None and self._before.hold is None and _has_failed(standing, thought):
            return await self._journal.answer(standing, _failed, self._keep), standing.asked
        known = self._journal.known(ordinal, "model", thought.key)
        if known is not None and isinstance(known.question, dict) and "taint" in known.question:
            self._journal.taint[FIELD_TAINT] = None
        if known is not None and known.answered:
            return await self._journal.answer(known, _unreachable, self._keep), known.asked
        prompt = await self._prompt(thought, known)
        intended = known or await self._intend(ordinal, thought, prompt)

        async def ask(entry: JournalEntry) -> Answered:
            child = apart.child_of(entry)
            if child is not None:
                return await self._from_child(child, entry, thought, prompt), apart.FREE
            request = self._request(entry, prompt)
            if request.mode is not CallMode.SYNC:
                await self._place(entry, request)
            result = await self._with.pager.call(request)
            self._taken[ordinal] = result.charge
            return result.model_dump(mode="json"), result.charge

        return await self._journal.answer(intended, ask, self._keep), intended.asked

    async def _place(self, entry: JournalEntry, request: ModelRequest) -> NoReturn:
        """The call is in the store, for whoever answers calls that nobody waits for.

        Raises:
            Interrupted: the tick goes on with the answer.
            AnswerLost: nobody answered it in time.
        """
        assert self._with.placements is not None  # noqa: S101 - _request says so
        if is_lost(self._journal.words.get(entry.call_id), self._adopted.tries):
            raise lost(entry)
        now_ms = self._adopted.now_ms
        raise Interrupted(await place(self._with.placements, request, now_ms, self._with.patience))

    async def _from_child(
        self, child: ContinuationId, entry: JournalEntry, thought: Thought, prompt: Prompt
    ) -> JsonValue:
        """The answer of the child that thinks it; it is born first, where it was not yet.

        Raises:
            Interrupted: it has not ended.
            BudgetExceededError: its share is more than is free.
            MaestroError: its failure.
        """
        assert self._with.journals is not None  # noqa: S101 - without, no intent names a child
        word = self._journal.words.get(entry.call_id)
        if word is not None or child in self._before.children:
            return await apart.told_by(self._with.journals, self._before, entry, child, word)
        step = step_of(entry)
        free = {name: account.free for name, account in self._accounts().items() if account.free is not None}
        lent = apart.share(self._price(step, prompt), BudgetVector({n: max(0, left) for n, left in free.items()}))
        self._taken[entry.ordinal] = lent
        signals = replace(thought.signals, independent=False)
        part = apart.Part(prompt=entry.asked, step=step, max_output_tokens=prompt.max_output_tokens, signals=signals)
        self._abreast.births.append(apart.birth(self._before, entry, part, lent))
        raise Interrupted(apart.end_of(child, entry))

    async def _intend(self, ordinal: int, thought: Thought, prompt: Prompt) -> JournalEntry:
        """The decision is journaled and its worst price reserved; what is intended already is not decided again.

        The prompt and what was decided on are kept before the intent names them. What a child will think reserves
        nothing: the child does.
        """
        question = await self._question(thought, prompt)
        decision = self._decided(question)
        is_apart = decision.place is Place.SPAWN
        self._abreast.apart += is_apart
        price = apart.FREE if is_apart else self._reservation(decision.step, prompt, thought.stream)
        blocks: dict[str, bytes] = {}
        asked = kept_prompt(prompt, blocks)
        terms = kept(terms_of(question), blocks, apart=True)
        put_under: dict[str, JsonValue] = {"question": record_of(question), "terms": terms}
        if is_apart:
            put_under["child"] = apart.new_child(self._adopted, ordinal)
        if FIELD_TAINT in self._journal.taint:
            put_under["taint"] = "untrusted"
        await self._with.keeper.keep(self._adopted.cid, blocks, self._adopted.now_ms)
        intent = new_intent(ordinal, "model", thought.key, price, words_of(decision))
        if thought.stream:
            put_under[STREAMED] = intent.call_id
        entry = await self._journal.intend(replace(intent, asked=asked, question=put_under))
        self._taken[ordinal] = price
        return entry

    async def _prompt(self, thought: Thought, known: JournalEntry | None) -> Prompt:
        """The prompt as it was intended; composed, where nothing is intended yet."""
        asked_before = known.asked if known is not None else None
        if (word_for_word := asked_before or thought.prompt) is not None:
            prompt = await read_prompt(word_for_word, partial(self._with.keeper.fetch, self._adopted.cid))
            return prompt if asked_before is not None else prompt.with_tools(thought.tools, thought.exchange)
        if self._reads_untrusted:  # of unread mail a prompt has the subjects
            self._journal.taint[FIELD_TAINT] = None
        asked = f"{thought.question}\n\n# About\n{thought.about}" if thought.about else thought.question
        edits = self._before.edits if thought.edits is None else thought.edits
        read = await self._field.read(self._with.field_entries, edits)
        budget_tokens = self._with.context_tokens
        composed = compose(
            self._before.goal, read.shown, asked, self._digest, budget_tokens, hidden=read.hidden,
            freshness=self._field.freshness,
        )  # fmt: skip
        prompt = prompt_of(composed, thought.json_schema, thought.max_output_tokens)
        return prompt.with_tools(thought.tools, thought.exchange)

    async def _keep(self, answer: JsonValue) -> JsonValue:
        blocks: dict[str, bytes] = {}
        ref = kept(answer, blocks)
        await self._with.keeper.keep(self._adopted.cid, blocks, self._adopted.now_ms)
        return ref

    async def _question(self, thought: Thought, prompt: Prompt) -> Question:
        try:
            asked = None if thought.step is None else Step(thought.step)
        except ValueError:
            raise InvalidInput(
                f"{thought.step!r} is no step", field="step", hint=f"use one of {', '.join(Step)}"
            ) from None
        load = IDLE if self._with.load is None else await self._with.load()
        may_spawn = self._with.journals is not None and self._journal.may_ask
        being_born = self._abreast.apart + apart.unborn(self._adopted, self._before)
        children_left, depth_left = room_of(self._before, self._mail, being_born)
        room = (children_left if may_spawn else 0, depth_left)
        return Question(
            size=CallSize(prompt.tokens, prompt.max_output_tokens),
            prices=self._with.prices.expected(),
            asked=asked,
            signals=thought.signals,
            budget=(self._accounts(),),
            conditions=conditions(self._before, self._adopted.now_ms, load, asked, thought.signals, room),
            config=self._with.config,
        )

    def _decided(self, question: Question) -> Decision:
        """The step that the kernel allows now.

        Raises:
            BudgetExceededError: the kernel waits for budget.
            ProvidersExhausted: the kernel comes back later.
            Declined: the kernel lets nobody be asked.
        """
        decision = decide(question)
        if not decision.go_on:
            raise Declined(decision.rule, hint="act on what is known, or change the policy", reason=decision.reason)
        if decision.lacking is not None:
            free = question.budget[0][decision.lacking].free or 0
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

    def _price(self, step: Step, prompt: Prompt) -> BudgetVector:
        bound = input_bound_tokens(prompt.said, prompt.system, prompt.tools, prompt.answer_schema)
        return reserved(self._with.prices, step, bound, prompt.max_output_tokens)

    def _reservation(self, step: Step, prompt: Prompt, stream: bool) -> BudgetVector:
        """What is reserved: of a stream for a second attempt, too, where that can be paid."""
        most = self._price(step, prompt)
        if not stream or step.advisor:
            return most
        free = {name: account.free for name, account in self._accounts().items() if account.free is not None}
        return most + most if all(free.get(name, 2 * n) >= 2 * n for name, n in most.items()) else most

    def _request(self, entry: JournalEntry, prompt: Prompt) -> ModelRequest:
        step, mode = step_of(entry), mode_of(entry)
        if self._with.placements is None or not self._journal.may_ask:
            mode = CallMode.SYNC
        signals = signals_of(entry.question)
        return ModelRequest(
            call_id=entry.call_id,
            cid=self._adopted.cid,
            ordinal=entry.ordinal,
            tenant=self._before.tenant,
            tier=step.tier,
            step=step,
            messages=prompt.said,
            tools=prompt.tools,
            thinking="off" if prompt.tools else "adaptive",  # its signature would have to come back with each turn
            system=prompt.system,
            answer_schema=prompt.answer_schema,
            max_output_tokens=prompt.max_output_tokens,
            price=entry.price,
            deadline_ms=DEFAULT_DEADLINE_MS if mode is CallMode.SYNC else self._with.patience.of(mode),
            mode=mode,
            use_advisor=step.advisor,
            stream=streamed(entry.question) is not None,
            manifest_hash=prompt.manifest_hash,
            complexity=signals.complexity,
            domain=signals.domain or None,
            stable_messages=prompt.stable_messages,
        )


def _taint(journal: Journal) -> None:
    """What is read of others' words taints what follows."""
    journal.taint[FIELD_TAINT] = None


async def _unreachable(entry: JournalEntry) -> Answered:
    raise AssertionError(f"effect {entry.ordinal} is answered: it is not carried out again")


def _has_failed(standing: JournalEntry, thought: Thought) -> bool:
    """True when this call was placed, and failed; what failed while a tick waited is asked anew by the next."""
    same = standing.failed and (standing.kind, standing.key) == ("model", thought.key)
    return same and mode_of(standing) is not CallMode.SYNC


async def _failed(entry: JournalEntry) -> Answered:
    raise failure_of(entry)
