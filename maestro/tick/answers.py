"""The pager's port `Answers` on any store: where the answer of a model call becomes durable.

Invariant: an answer and the settlement of its reservation are one step; the first good answer of a call stays.
"""

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.errors import ContinuationStateError, ModelError
from maestro.ids import CallId, ContinuationId
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.tick.store import Journals


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
        await self._settle(request, result.model_dump(mode="json"), failed=False, charge=result.charge)

    async def failed(self, request: ModelRequest, error: ModelError, charge: BudgetVector) -> None:
        told: JsonValue = {"code": error.code, "message": error.message, "hint": error.hint}
        await self._settle(request, told, failed=True, charge=charge)

    async def _settle(self, request: ModelRequest, answer: JsonValue, failed: bool, charge: BudgetVector) -> None:
        await self._journals.settle(request.cid, request.ordinal, request.call_id, answer, failed, charge)
