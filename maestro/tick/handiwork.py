"""Carrying out the use of a tool: from a wish to a journaled outcome.

    find and validate -> guard -> reserve and journal the intent -> quota, breaker, cache -> call
        -> journal the outcome and settle -> result or ToolError

Invariants: nothing is called without a durable intent; an outcome that is journaled is not sought again; an unsafe tool
whose intent has no outcome is never called again, but a person is asked; a refusal is an outcome too, so that a
repeated tick is refused the same.
What an entry of the journal is about stands before the colon of its decision: `asks` (a person is asked first),
`refused`, or the side-effect class of a call that may have begun.

Source: spec/04 section 6; PROMISES P8.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.artifact import artifact_in, value_of
from maestro.continuation.blocks import kept, read
from maestro.continuation.checkpoint import Checkpoint
from maestro.errors import ToolCircuitOpen, ToolDeclined, ToolDenied, ToolError, ToolNotFound, ToolQuotaExceeded
from maestro.tick.blocks import Keeper
from maestro.tick.caching import Cache
from maestro.tick.interruption import Asked, Interrupted, Word, did_it, may_it
from maestro.tick.journal import Answered, Journal, new_intent
from maestro.tick.journals import About
from maestro.tick.sharing import Sharing
from maestro.tick.store import Adopted, JournalEntry
from maestro.tick.using import Use
from maestro.tick.workbench import Workbench
from maestro.tools.calls import Order, error_body, error_of, failed
from maestro.tools.guard import ruling
from maestro.tools.results import made_of
from maestro.tools.spec import SideEffect, Spec, Tool

KIND = "tool"
ASKS, REFUSED = "asks", "refused"
FREE = BudgetVector({})
STALE_S = 1.0  # so long after its intent a call looks again whether the continuation is still in these hands


@dataclass(frozen=True, slots=True)
class _Call:
    """A wish, understood as far as it could be."""

    name: str
    key: str
    tool: Tool | None
    arguments: dict[str, JsonValue]
    refusal: ToolError | None = None

    @property
    def asked(self) -> dict[str, JsonValue]:
        version = 0 if self.tool is None else self.tool.spec.version
        refusal = {} if self.refusal is None else {"refusal": error_body(self.refusal)}
        return {"tool": self.name, "version": version, "arguments": dict(self.arguments), **refusal}


class Handiwork:
    """maestro.tick.using.Hands over journal, guard and workers."""

    def __init__(
        self, bench: Workbench, keeper: Keeper, adopted: Adopted, before: Checkpoint, journal: Journal
    ) -> None:
        self._bench = bench
        self._adopted = adopted
        self._before = before
        self._journal = journal
        self._uses: Counter[str] = Counter()
        self._cache = Cache(bench.records, before.tenant)
        self._fetch = partial(keeper.fetch, adopted.cid)
        self._put = partial(_put, keeper, adopted)
        self._shared = Sharing(journal, self._fetch, self._put, bench.reveal)
        self._captures: dict[str, dict[str, JsonValue]] = {}
        """What the calls that this try made have captured, by call id."""

    def tools(self, named: Sequence[str | Tool]) -> list[Tool]:
        return [each if isinstance(each, Tool) else self._bench.toolbox.find(each) for each in named]

    def shown(self, tools: Sequence[Tool]) -> list[Spec]:
        """Their declarations as a model is shown them."""
        return [self._shared.shown(tool.spec) for tool in tools]

    async def settled(self) -> None:
        for entry in self._adopted.journal.values():
            if _is_unknown(entry) and entry.call_id not in self._journal.words:
                raise Interrupted(await self._question(entry))

    async def use(self, wish: Use) -> JsonValue:
        ordinal = self._journal.next_ordinal()
        call = await self._understood(wish)
        known = self._journal.known(ordinal, KIND, call.key)
        if known is None or not known.answered:
            known = await self._intended(ordinal, call, known)
        answer = await self._journal.answer(known, partial(self._act, call, wish.gate), self._keep)
        return await self._told(call, answer, wish.brief)

    async def _understood(self, wish: Use) -> _Call:
        tool: Tool | None = None
        try:
            tool = wish.tool if isinstance(wish.tool, Tool) else self._bench.toolbox.find(wish.tool)
            return _Call(tool.name, wish.key, tool, await self._shared.given(tool, wish.arguments))
        except ToolError as error:
            return _Call(wish.name[:64], wish.key, tool, {}, error)

    async def _intended(self, ordinal: int, call: _Call, known: JournalEntry | None) -> JournalEntry:
        """The journaled intent that is to be carried out now, or that says why it is not.

        Raises:
            Interrupted: a person is asked first.
        """
        standing = known or self._journal.standing(ordinal)
        word = None if standing is None else self._journal.words.get(standing.call_id)
        if standing is not None and word is not None and _is_leave(standing, word):
            return await self._anew(standing, call, word)
        if known is None:
            return await self._ruled(ordinal, call)
        if word is None and _kind(known) == ASKS:
            raise Interrupted(_leave(call, known))
        if _is_unknown(known) and not self._journal.may_ask:
            raise failed(call.name, "nobody knows whether it happened, and there is no time to ask")
        if _is_unknown(known) and (word is None or word.says == "unclear"):
            raise Interrupted(await self._question(known, unclear="" if word is None else str(self._adopted.rev)))
        return known

    async def _anew(self, standing: JournalEntry, call: _Call, word: Word) -> JournalEntry:
        """What a person gave leave for is intended; what was intended before it is over, and cost nothing."""
        if call.tool is None:
            return standing
        shown, asks = await self._asked(standing), _kind(standing) == ASKS
        given = word.result if asks and isinstance(word.result, dict) else shown.get("arguments")
        arguments = await self._shared.given(call.tool, given if isinstance(given, dict) else {})
        allowed = replace(call, arguments=arguments)
        if not standing.failed:
            settle = self._bench.journals.settle
            await settle(self._adopted.cid, standing.ordinal, standing.call_id, None, True, FREE)
        if shown.get("version") != call.tool.spec.version:
            told = f"{ASKS}: it is not the version {shown.get('version')} that was asked about"
            raise Interrupted(_leave(allowed, await self._intend(standing.ordinal, allowed, told)))
        said = f"{'approved' if asks else 'run again'} by {word.by}"
        return await self._intend(standing.ordinal, allowed, f"{call.tool.spec.side_effect}: {said}")

    async def _ruled(self, ordinal: int, call: _Call) -> JournalEntry:
        """The intent as the guard wants it."""
        call = replace(call, refusal=call.refusal or self._over_quota(call))
        if call.refusal is not None or call.tool is None:
            return await self._intend(ordinal, call, f"{REFUSED}: {call.refusal}")
        spec = call.tool.spec
        self._uses[spec.name] += 1
        ruled = ruling(spec, self._before.scopes, self._journal.taint)
        if ruled.verdict == "denied" or (ruled.verdict == "asked" and not self._journal.may_ask):
            told = f"{spec.name}: {ruled.because}"
            refusal = ToolDenied(told, field="scopes", hint="ask whoever started it for what is missing")
            return await self._intend(ordinal, replace(call, refusal=refusal), f"{REFUSED}: {ruled.because}")
        if ruled.verdict == "allowed":
            return await self._intend(ordinal, call, f"{spec.side_effect}: allowed")
        raise Interrupted(_leave(call, await self._intend(ordinal, call, f"{ASKS}: {ruled.because}")))

    async def _intend(self, ordinal: int, call: _Call, decision: str) -> JournalEntry:
        """The intent is durable, with what it asks for and its price; a refusal costs nothing."""
        ref = await self._keep(call.asked)
        price = FREE if call.tool is None or call.refusal is not None else call.tool.spec.price
        return await self._journal.intend(replace(new_intent(ordinal, KIND, call.key, price, decision), asked=ref))

    async def _act(self, call: _Call, gate: asyncio.Semaphore | None, entry: JournalEntry) -> Answered:
        """The outcome of an intent, settled."""
        word = self._journal.words.get(entry.call_id)
        asked = await self._asked(entry)
        refusal = _refusal(call, entry, asked, word)
        if refusal is not None or call.tool is None:
            return await self._settle(entry, _error(call.name, refusal), FREE)
        if word is not None and _is_unknown(entry):  # it did happen, says who knows
            told = await self._outcome(call.tool, entry, word.result, because=f"{word.by} says so")
            return await self._settle(entry, told, entry.price)
        began, arguments = _now_s(), asked.get("arguments")
        async with AsyncExitStack() as stack:
            if gate is not None:
                await stack.enter_async_context(gate)
            if _now_s() - began > STALE_S:
                await self._journal.look(entry)
            return await self._attempted(call.tool, entry, arguments if isinstance(arguments, dict) else {})

    async def _attempted(self, tool: Tool, entry: JournalEntry, arguments: dict[str, JsonValue]) -> Answered:
        """The call, if quota and breaker let it through."""
        refusal = await self._held_up(tool, entry)
        if refusal is not None:
            return await self._settle(entry, _error(tool.name, refusal), FREE)
        breakers = self._bench.breakers
        breakers.begun(tool.name)
        run = partial(self._run, tool, entry)
        try:
            whole = await self._shared.whole(tool, arguments)
            is_kept = not self._shared.captures_secret(tool)
            kept_by = self._cache.through(tool, whole, entry.call_id, run) if is_kept else _uncached(run(whole))
            result, cached = await kept_by
        except ToolError as error:
            breakers.ended(tool.name, well=isinstance(error, ToolDeclined))
            if _is_unknown(entry) and not isinstance(error, ToolDeclined) and self._journal.may_ask:
                raise Interrupted(await self._question(entry, told=str(error))) from error
            return await self._settle(entry, _error(tool.name, error), entry.price)
        breakers.ended(tool.name, well=True)
        try:
            told = await self._outcome(tool, entry, result, cached=cached)
        except ToolError as error:  # it was carried out, and what it brought cannot be kept: that is its outcome
            told = _error(tool.name, error)
        return await self._settle(entry, told, FREE if cached else entry.price)

    async def _held_up(self, tool: Tool, entry: JournalEntry) -> ToolError | None:
        """Why the call is not made now."""
        limit = tool.spec.quota.per_day
        if limit is not None and not await self._bench.records.take(tool.name, entry.call_id, limit):
            return _quota(tool, f"{limit} uses of the day", "come back tomorrow")
        retry_in_ms = self._bench.breakers.retry_in_ms(tool.name)
        if retry_in_ms == 0:
            return None
        told = f"{tool.name} failed too often in a row"
        return ToolCircuitOpen(told, hint=f"not before {retry_in_ms} ms from now", retry_in_ms=retry_in_ms)

    async def _run(self, tool: Tool, entry: JournalEntry, arguments: dict[str, JsonValue]) -> JsonValue:
        """The result as it may be read; what was captured from it is noted beside."""
        order = Order(tool, arguments, f"{self._adopted.cid}:{entry.call_id}")
        try:
            result = await self._bench.runner_of(tool).run(order)
        except ToolError as error:
            raise self._shared.told(error) from None  # the chain may name a secret
        shown, self._captures[entry.call_id] = await self._shared.taken(tool, result)
        return shown

    async def _outcome(
        self, tool: Tool, entry: JournalEntry, result: JsonValue, cached: bool = False, because: str = ""
    ) -> dict[str, JsonValue]:
        """A result as it is journaled: in itself, or as an artifact; with what was captured from it."""
        taint = "trusted" if tool.spec.trusted_output else "untrusted"
        captured = self._captures.pop(entry.call_id, None)
        if captured is None:  # somebody else made the call
            result, captured = await self._shared.taken(tool, result)
        more: dict[str, JsonValue] = {"cached": True} if cached else {}
        more |= {"because": because} if because else {}
        more |= {"captured": captured} if captured else {}
        made = made_of(result, tool.name, taint)
        if made is None:
            return {"tool": tool.name, "result": result, "taint": taint, **more}
        artifact, body = made
        await self._put({artifact.id: body})
        return {"tool": tool.name, "artifact": artifact.model_dump(mode="json"), "taint": taint, **more}

    async def _settle(self, entry: JournalEntry, answer: dict[str, JsonValue], charge: BudgetVector) -> Answered:
        """The outcome is journaled; the first one stays."""
        settle = self._bench.journals.settle
        about: About = {"tool": answer.get("tool"), "cached": answer.get("cached") is True}
        stands = await settle(self._adopted.cid, entry.ordinal, entry.call_id, answer, False, charge, about)
        if stands is not None and stands.answered:
            return stands.answer, stands.charge
        return answer, charge

    async def _told(self, call: _Call, answer: JsonValue, brief: bool) -> JsonValue:
        """The result, or the error raised; what came from outside taints the tick, what was captured is remembered."""
        told = answer if isinstance(answer, dict) else {}
        if told.get("taint") == "untrusted":
            self._journal.taint[f"what {call.name} returned"] = None
        self._shared.remember(told.get("captured"))
        if isinstance(error := told.get("error"), dict):
            raise error_of(error)
        artifact = artifact_in(told)
        if artifact is None:
            return told.get("result")
        return artifact.brief if brief else await value_of(artifact, self._fetch)

    def _over_quota(self, call: _Call) -> ToolQuotaExceeded | None:
        limit = None if call.tool is None else call.tool.spec.quota.per_continuation
        if call.tool is None or limit is None:
            return None
        account = self._adopted.ledger.account(call.tool.spec.quota_resource)
        used = account.spent + account.reserved + self._uses[call.tool.name]
        return None if used < limit else _quota(call.tool, f"{limit} uses", "do without, or ask for a higher quota")

    async def _question(self, entry: JournalEntry, told: str = "", unclear: str = "") -> Asked:
        """What a person is asked of a call whose outcome nobody knows."""
        asked = await self._asked(entry)
        action = f"{asked.get('tool')} version {asked.get('version')}" + (f" (it ended so: {told})" if told else "")
        return did_it(entry.call_id, action, asked.get("arguments"), unclear)

    async def _asked(self, entry: JournalEntry) -> dict[str, JsonValue]:
        asked = await read(entry.asked, self._fetch)
        return asked if isinstance(asked, dict) else {}

    async def _keep(self, value: JsonValue) -> JsonValue:
        blocks: dict[str, bytes] = {}
        ref = kept(value, blocks)
        await self._put(blocks)
        return ref


async def _put(keeper: Keeper, adopted: Adopted, blocks: dict[str, bytes]) -> None:
    await keeper.keep(adopted.cid, blocks, adopted.now_ms)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _kind(entry: JournalEntry) -> str:
    return (entry.decision or "").partition(":")[0]


def _is_unknown(entry: JournalEntry) -> bool:
    """True when an unsafe call may have begun, and nothing is known of its end."""
    return entry.kind == KIND and _kind(entry) == SideEffect.UNSAFE and not entry.answered and not entry.failed


async def _uncached(result: Awaitable[JsonValue]) -> tuple[JsonValue, bool]:
    return await result, False


def _error(name: str, error: ToolError | None) -> dict[str, JsonValue]:
    return {"tool": name, "error": error_body(error or ToolNotFound(f"no tool {name!r} here", field="tool"))}


def _is_leave(standing: JournalEntry, word: Word) -> bool:
    """True when a person gave leave to make a call: one that was asked for, or one whose outcome was unknown, again."""
    return not standing.answered and word.says == ("yes" if _kind(standing) == ASKS else "again")


def _leave(call: _Call, entry: JournalEntry) -> Asked:
    """What a person is asked of a call that is not made yet."""
    because = (entry.decision or "").partition(": ")[2]
    version = "" if call.tool is None else f" version {call.tool.spec.version}"
    return may_it(entry.call_id, f"use {call.name}{version}: {because}", dict(call.arguments))


def _refusal(call: _Call, entry: JournalEntry, asked: dict[str, JsonValue], word: Word | None) -> ToolError | None:
    """Why an intent is not carried out; None where it is."""
    if isinstance(refusal := asked.get("refusal"), dict):
        return error_of(refusal)
    if word is None or word.says != "no":
        return call.refusal
    if _kind(entry) == ASKS:
        return ToolDenied(f"{call.name}: denied by {word.by}", field="approval", hint="do not try it again")
    return ToolDeclined(f"{call.name}: it did not happen, says {word.by}", hint="decide whether to try again")


def _quota(tool: Tool, limit: str, hint: str) -> ToolQuotaExceeded:
    return ToolQuotaExceeded(f"{tool.name} has had its {limit}", field="quota", hint=hint)
