"""The line of a child process to who began it: JSON lines on descriptors of their own.

Invariant: what other code in this process reads, prints or closes on the standard streams reaches nobody.
"""

import os
from collections.abc import Callable
from typing import BinaryIO

import orjson

STDIN, STDOUT, STDERR = 0, 1, 2

Answer = Callable[[object], None]


def line_open() -> tuple[BinaryIO, Answer]:
    """What is asked, and how to answer; the standard streams lead nowhere from now on."""
    asked = os.fdopen(os.dup(STDIN), "rb")
    answers = os.fdopen(os.dup(STDOUT), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (STDIN, STDOUT, STDERR):
        os.dup2(nowhere, stream)

    def answer(value: object) -> None:
        answers.write(orjson.dumps(value) + b"\n")
        answers.flush()

    return asked, answer
