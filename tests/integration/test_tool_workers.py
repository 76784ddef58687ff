"""Tool workers: processes of their own with limits, warm, without credentials, ended with all that they began."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from maestro.adapters.sandbox.tools import Limits, ToolWorkers
from maestro.errors import ToolDeclined, ToolFailed, ToolTimeout, ToolValidationError
from maestro.tools.calls import Order
from maestro.tools.spec import Tool
from tests.integration import tool_shed as shed


@pytest.fixture
async def workers() -> AsyncIterator[ToolWorkers]:
    workers = ToolWorkers(Limits(output_bytes=100_000, memory_bytes=1 << 30), at_most=2)
    yield workers
    await workers.close()


def order(tool: Tool, **arguments: Any) -> Order:
    return Order(tool, tool.arguments(arguments), "key-1")


async def test_a_worker_is_warm_and_in_a_session_of_its_own(workers: ToolWorkers) -> None:
    first = await workers.run(order(shed.whoami))
    assert first == await workers.run(order(shed.whoami))
    assert isinstance(first, list)
    assert first[0] == first[1] != os.getpid()
    assert workers.begun == 1
    assert await workers.run(order(shed.keyed, text="x")) == ["x", "key-1"]


async def test_no_credential_is_in_its_environment(workers: ToolWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = ("MAESTRO_REDIS_URL", "RAY_AUTH_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY")
    for name in planted:
        monkeypatch.setenv(name, "canary")
    seen = await workers.run(order(shed.environment))
    assert isinstance(seen, dict)
    assert "PATH" in seen
    assert "canary" not in seen.values()


async def test_one_that_hangs_is_ended_with_its_children_and_the_next_call_is_served(
    workers: ToolWorkers, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    await workers.run(order(shed.whoami))
    with pytest.raises(ToolTimeout, match="took longer than"):
        await workers.run(order(shed.hang, mark=str(mark)))
    if mark.exists():  # the worker was killed with its group: the grandchild is gone, or a zombie of whoever adopts it
        await _gone(int(mark.read_text()))
    assert await workers.run(order(shed.whoami))


@pytest.mark.spec("02.9")
@pytest.mark.parametrize(
    ("tool", "given", "told"),
    [
        (shed.dies, {"status": 9}, "status 9"),
        (shed.large, {"size": 200_000}, "beyond 100000 bytes"),
        (shed.eats, {"size": 4 << 30}, "MemoryError"),
    ],
)
async def test_one_that_takes_too_much_or_dies_is_told_as_a_failure(
    workers: ToolWorkers, tool: Tool, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(ToolFailed, match=told):
        await workers.run(order(tool, **given))
    assert await workers.run(order(shed.whoami))


async def test_what_a_tool_prints_goes_nowhere(workers: ToolWorkers) -> None:
    assert await workers.run(order(shed.prints, megabytes=20)) == "done"


async def test_errors_keep_their_kind_over_the_process_border(workers: ToolWorkers) -> None:
    with pytest.raises(ToolDeclined) as declined:
        await workers.run(order(shed.declines))
    assert (declined.value.field, declined.value.hint) == ("to", "choose another")
    with pytest.raises(ToolValidationError, match="does not declare"):
        await workers.run(order(shed.wrong))


@pytest.mark.spec("04.13")
async def test_workers_grow_with_the_calls_at_once_up_to_their_bound_and_are_ended_when_idle(
    workers: ToolWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.adapters.sandbox.tools.IDLE_S", 0.05)
    pids = await asyncio.gather(*(workers.run(order(shed.whoami)) for _ in range(6)))
    assert workers.begun == 2
    assert len({tuple(pid) for pid in pids if isinstance(pid, list)}) == 2
    await eventually(lambda: not workers.warm)
    await workers.close()
    for pid, _ in (each for each in pids if isinstance(each, list)):
        assert isinstance(pid, int)
        await _gone(pid)


async def test_a_cancelled_call_leaves_nothing_behind(workers: ToolWorkers, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    calling = asyncio.ensure_future(workers.run(order(shed.hang, mark=str(mark))))
    await eventually(lambda: calling.done() or (mark.exists() and mark.read_text() != ""))
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    if mark.exists():
        await _gone(int(mark.read_text()))
    assert await workers.run(order(shed.whoami))


async def _gone(pid: int) -> None:
    await eventually(lambda: not _lives(pid))


async def eventually(look: Callable[[], bool]) -> None:
    """What happens in another process has happened."""
    async with asyncio.timeout(30):
        while True:
            if look():
                return
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
