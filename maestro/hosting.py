"""Putting the HTTP API together, from settings to an application; users of `bootstrap` alone load no FastAPI."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from maestro.adapters.duckdb.spending import Spending
from maestro.bootstrap import install, open_webhooks, warehouse_folder
from maestro.gateway.app import Terms, build
from maestro.gateway.gate import Plant
from maestro.settings import Settings

Closing = Callable[[], Awaitable[None]]


async def open_gateway(settings: Settings, asked: Plant | None = None) -> tuple[ASGIApp, Closing]:
    """The API over this installation's store, and what closes it.

    Args:
        asked: tells what only Ray knows.
    """
    at = await install(settings, "api")
    hooks = open_webhooks(settings, at.backend)
    terms = Terms(
        hosts=frozenset(settings.pane_hosts),
        secure=settings.pane_tls,
        four_eyes=settings.four_eyes,
        mounts=tuple(hooks.routes()),
    )
    return build(at, terms, Spending(at, warehouse_folder(settings)), asked), at.backend.close
