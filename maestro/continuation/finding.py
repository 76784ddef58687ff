"""Findings: what a continuation tells the world it learned, with where it comes from.

Invariant: immutable; a correction is a new finding that names the one it supersedes.
Source: spec/04 section 11.
"""

import hashlib
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field


class Finding(BaseModel):
    """One statement with its evidence; a finding without evidence is shown as such."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=500)]
    body: Annotated[str, Field(max_length=50_000)] = ""
    links: tuple[str, ...] = ()
    """Where a person can check it."""
    evidence: tuple[str, ...] = ()
    """Ids of the events, entries or artifacts that it rests on."""
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    supersedes: str | None = None


def content_of(kept: bytes) -> str:
    """The hash of what a kept finding says, whoever found it and whenever: two of one content are one finding."""
    finding = orjson.loads(kept)
    return hashlib.sha256(orjson.dumps([finding["title"], finding["body"], finding["links"]])).hexdigest()
