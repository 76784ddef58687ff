"""The goal frame: what a continuation is for, as everything that ranks and composes reads it.

Invariants: text is never empty and holds no NUL; a frame never changes, a changed goal is a new frame
of a higher version.
What is not here: whether the goal is reached, and who may change it.

Source: spec/03 section 2; PROMISES B13.
"""

from typing import Self

from pydantic import BaseModel, Field, field_validator

from maestro.errors import InvalidInput

MAX_GOAL_CHARS = 10_000
MAX_LINE_CHARS = 2_000
MAX_LINES = 64  # of constraints, of questions, of keywords: a frame is read in every call, so it stays small


class GoalFrame(BaseModel, frozen=True, extra="forbid"):
    """A goal, what bounds it, what it asks, and words that matter more than others."""

    goal: str
    constraints: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    version: int = Field(default=1, ge=1)

    @field_validator("goal")
    @classmethod
    def _check_goal(cls, goal: str) -> str:
        return check_text(goal, "goal", MAX_GOAL_CHARS)

    @field_validator("constraints")
    @classmethod
    def _check_constraints(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return _check_lines(lines, "constraints")

    @field_validator("questions")
    @classmethod
    def _check_questions(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return _check_lines(lines, "questions")

    @field_validator("keywords")
    @classmethod
    def _check_keywords(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return _check_lines(lines, "keywords")

    def changed(self, goal: str) -> Self:
        """The next version of this frame, with another goal; bounds, questions and keywords stay."""
        return self.model_copy(
            update={"goal": check_text(goal, "goal", MAX_GOAL_CHARS), "version": self.version + 1},
        )

    @property
    def text(self) -> str:
        """All of the frame as one text, the goal first; what a ranker reads."""
        return "\n".join((self.goal, *self.constraints, *self.questions, *self.keywords))


def check_text(text: str, field: str, max_chars: int) -> str:
    """`text`, fit to be shown, stored and sent to a model.

    Raises:
        InvalidInput: only spaces, longer than `max_chars`, or with a NUL in it.
    """
    if not text.strip():
        raise InvalidInput(f"{field} is empty", field=field, hint="say in a sentence what is wanted")
    if len(text) > max_chars:
        raise InvalidInput(
            f"{field} has {len(text)} characters, at most {max_chars} are taken",
            field=field,
            hint="put long material into an input or a file and name it here",
            chars=len(text),
            limit=max_chars,
        )
    if "\x00" in text:
        raise InvalidInput(f"{field} contains a NUL character", field=field, hint="remove \\x00 from the text")
    return text


def _check_lines(lines: tuple[str, ...], field: str) -> tuple[str, ...]:
    if len(lines) > MAX_LINES:
        raise InvalidInput(
            f"{field} has {len(lines)} lines, at most {MAX_LINES} are taken", field=field, hint="keep those that matter"
        )
    return tuple(check_text(line, f"{field}.{place}", MAX_LINE_CHARS) for place, line in enumerate(lines))
