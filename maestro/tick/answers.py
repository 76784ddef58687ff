"""The pager's port `Answers` on any store: where the answer of a model call becomes durable.

Invariant: an answer and the settlement of its reservation are one step; the first good answer of a call stays.
"""

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.errors import ContinuationStateError, ModelError
from maestro.ids import CallId, ContinuationId
from maestro.pager.dispatch import Mode, ModelCallResult
from maestro.pager.reply import Failure
from maestro.pager.request import ModelRequest
from maestro.tick.journals import About, Journals


class JournaledAnswers:
    """maestro.pager.desk.Answers over the journals of a store."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals

    async def known(self, cid: ContinuationId, call_id: CallId) -> ModelCallResult | None:
        """The journaled answer; None where there is a reservation and no answer yet.

        Raises:
            ContinuationStateError: no reservation is open for that call, so nobody may buy it (any more).
        """
        entry = await self._journals.answer_of(cid, call_id)
        if entry is None or entry.failed:
            raise ContinuationStateError(
                f"{call_id} is no open call of {cid}", hint="its tick has ended elsewhere: give up this try"
            )
        return ModelCallResult.model_validate(entry.answer) if entry.answered else None

    async def answered(self, request: ModelRequest, result: ModelCallResult) -> None:
        whole = result.model_dump(mode="json")
        await self._settle(request, whole, failed=False, charge=result.charge, about=_told(result))

    async def failed(self, request: ModelRequest, error: ModelError, charge: BudgetVector) -> None:
        told: dict[str, JsonValue] = {"code": error.code, "message": error.message, "hint": error.hint}
        if request.mode is not Mode.SYNC:  # nobody waits for it: such facts as when to come back are told from here
            told["facts"] = dict(Failure.of(error).facts)
        await self._settle(request, told, failed=True, charge=charge, about={"error": error.code})

    async def _settle(
        self, request: ModelRequest, answer: JsonValue, failed: bool, charge: BudgetVector, about: About
    ) -> None:
        """The fact of the charge names the step that was asked for, and what was given."""
        of: About = {"step": request.step.value, "tier": request.tier.value}
        said = {"complexity": request.complexity, "domain": request.domain}
        asked: About = {**of, **{name: value for name, value in said.items() if value is not None}}
        given = request.cid, request.ordinal, request.call_id, answer, failed, charge
        await self._journals.settle(*given, {**asked, **about})


def _told(result: ModelCallResult) -> About:
    """What is told of an answer beside its charge: who gave it, and what was read and written for it."""
    by: About = {"provider": result.provider, "model": result.model, "latency_ms": result.latency_ms}
    how: About = {
        "advisor_consulted": result.advisor_consulted,
        "attempts": result.attempts,
        "estimated": result.estimated,
    }
    return {**by, **how, **result.usage.model_dump()}
