"""The digest: what people were not asked, because their attention for the day is used up.

Pure. It is made of what the store keeps of those who wait for people, so nothing has to be remembered between looks.
Source: issue 6, Build 7.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from maestro.continuation.wait import ApprovalResolution, BudgetGrant, UserReply, awaits_attention


class Queued(BaseModel):
    """One question that nobody was asked yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    continuation: str
    behaviour: str
    question: str
    since_ms: int


class Digest(BaseModel):
    """The questions of one day that nobody was asked, the oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: int
    """Since 1970, on the store's clock, in UTC."""
    questions: tuple[Queued, ...]

    @property
    def key(self) -> str:
        """What makes two of them the same one."""
        return f"digest-{self.day}"


def queued(rows: Iterable[Mapping[str, Any]]) -> tuple[Queued, ...]:
    """The questions among `rows`, of what people are asked, that wait for attention; the oldest first."""
    found = [
        Queued(
            continuation=row["id"], behaviour=row["behaviour"], question=_question(part), since_ms=int(row["since_ms"])
        )
        for row in rows
        for part in map(_waiting, row["asked"])
        if part is not None
    ]
    return tuple(sorted(found, key=lambda question: (question.since_ms, question.continuation, question.question)))


def _waiting(asked: Mapping[str, Any]) -> BudgetGrant | None:
    if asked["type"] != "budget":
        return None
    part = BudgetGrant.model_validate(asked)
    return part if awaits_attention(part) else None


def _question(part: BudgetGrant) -> str:
    match part.then:
        case UserReply(question=question):
            return question
        case ApprovalResolution(action=action):
            return f"approve: {action}"
        case _:
            return part.resource
