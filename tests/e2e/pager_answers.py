"""Answers that a test can look into from outside the pager's process: one file per journaled call."""

import json
import time
from pathlib import Path

from maestro.bootstrap import PagerPorts
from maestro.budget.vector import BudgetVector
from maestro.errors import ModelError
from maestro.ids import CallId, ContinuationId
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.notices import LocalNotices
from maestro.pager.reply import Failure
from maestro.pager.request import ModelRequest
from maestro.settings import Settings


class FileAnswers:
    """A journal in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def known(self, cid: ContinuationId, call_id: CallId) -> ModelCallResult | None:
        path = self._folder / f"{call_id}.json"
        return ModelCallResult.model_validate_json(path.read_text()) if path.exists() else None

    async def answered(self, request: ModelRequest, result: ModelCallResult) -> None:
        (self._folder / f"{request.call_id}.json").write_text(result.model_dump_json())

    async def failed(self, request: ModelRequest, error: ModelError, charge: BudgetVector) -> None:
        told = {"failure": Failure.of(error).model_dump(), "charge": charge.model_dump()}
        (self._folder / f"{request.call_id}.failed").write_text(json.dumps(told))


async def open_answers(settings: str) -> PagerPorts:
    """The journal below the home that `settings` name; no brake."""
    answers = FileAnswers(Settings.from_json(settings).home / "answers")
    return PagerPorts(answers, LocalNotices(lambda: time.monotonic_ns() // 1_000_000))
