"""Writes a golden log: `python -m tests.golden NAME` adds tests/data/golden/NAME.jsonl, written by the code of today.

One line per record of a continuation that has done a little of everything, and a last line with what must come of
them. Later code must replay every such file (tests/integration/test_replay.py); no file is ever written again.
"""

import asyncio
import sys

import orjson

from maestro.continuation.checkpoint import digest, replay
from maestro.runtime import verbs
from tests.integration.test_replay import GOLDEN, in_memory, small


async def written(name: str) -> None:
    """The file exists; it did not before."""
    stage = in_memory()
    cid = await small(stage)
    for number in range(5):
        await stage.publish("day.more", f"more-{number}")
        await stage.settle()
    bodies = await verbs.record_bodies(stage.at, cid)
    lines = [orjson.dumps({"body": body.decode()}) for body in bodies]
    lines.append(orjson.dumps({"records": len(bodies), "hash": digest(bodies[-1]), "state": replay(bodies).state}))
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with (GOLDEN / f"{name}.jsonl").open("xb") as file:
        file.write(b"\n".join(lines) + b"\n")


if __name__ == "__main__":
    asyncio.run(written(sys.argv[1]))
