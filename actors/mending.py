"""`python -m actors.mending FOLDER STEP`: one step of work for the heart of that folder, told in its `outcome.json`.

    store   the embedded server answers
    all     the store answers, Ray runs, the tree stands and takes work: only what is missing is started
    down    ticks have ended or were handed back, Ray is gone, the embedded server is gone

A process of its own, so that the heart needs nothing of Ray; what it starts outlives it and is the heart's to reap.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from pydantic import JsonValue

from actors import installation, keeping
from actors.heart_files import Files
from maestro import bootstrap
from maestro.adapters.redis import server
from maestro.errors import ClusterError, MaestroError
from maestro.settings import Settings

Step = Callable[[Settings], dict[str, JsonValue]]


def main() -> None:
    files, step = Files(Path(sys.argv[1])), sys.argv[2]
    wish = files.task()
    os.chdir(wish.cwd)
    sys.path.insert(0, wish.cwd)
    settings = Settings.from_json(wish.settings)
    bootstrap.enter_process(settings, "mending")
    try:
        outcome = {"result": STEPS[step](settings)}
    except MaestroError as error:
        outcome = keeping.told_as(error)
    except Exception as error:  # noqa: BLE001 - whatever it was, whoever asked is told
        structlog.get_logger().exception("a step failed", step=step)
        outcome = keeping.told_as(
            ClusterError(f"{type(error).__name__}: {error}"[:500], hint=f"see {settings.home}/logs")
        )
    files.tell_outcome(outcome)


def _store(settings: Settings) -> dict[str, JsonValue]:
    info = server.ensure(settings.home, fsync=settings.redis_fsync)
    return {"started": info.started}


def _all(settings: Settings) -> dict[str, JsonValue]:
    return installation.up(settings, accept_holds=True)  # the command that asked has tried the code on the sleepers


def _down(settings: Settings) -> dict[str, JsonValue]:
    installation.take_down(settings)
    if settings.redis_url is None:
        server.stop(settings.home)
    return {}


STEPS: Mapping[str, Step] = {"store": _store, "all": _all, "down": _down}

if __name__ == "__main__":
    main()
