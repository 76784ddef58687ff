"""Asking the command line in this process, and waiting until what it tells is so."""

import time
from collections.abc import Callable
from typing import Any

import orjson

PATIENCE_S = 20.0
PAPER = '{"title": "Sleeping computations", "abstract": "on sleeping computations", "link": "https://example.org/1"}'


class Answer:
    """What a command line answered."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return orjson.loads(self.out)


Ask = Callable[..., Answer]


def counter(maestro: Ask, *more: str) -> str:
    """A counter that has had its first tick; its id."""
    cid = str(maestro("start", "counter", "--goal", "count what comes", *more, "-o", "json").json["id"])
    until(maestro, cid, lambda told: told["rev"] >= 1)
    return cid


def until(maestro: Ask, cid: str, holds: Callable[[Any], bool]) -> Any:
    """What `show` tells as soon as that holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds(told := maestro("show", cid, "-o", "json").json):
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    return told


def asleep(told: Any) -> bool:
    return bool(told["activity"] == "sleeping" and not told["unread"])
