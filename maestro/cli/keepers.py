"""What a keeper of the cluster tells, asked for as long as somebody at a terminal waits."""

from typing import Any

from pydantic import JsonValue

from maestro.errors import ClusterError, NotFound
from maestro.settings import Settings

ANSWER_S = 5.0


def told_by(settings: Settings, keeper: str) -> dict[str, JsonValue] | None:
    """What that keeper knows; None where there is none, or the cluster does not answer."""
    from actors.cluster import RayCluster

    try:
        asked: Any = RayCluster(settings).actor(keeper).told.remote()
        told: dict[str, JsonValue] = asked.future().result(ANSWER_S)
    except (NotFound, ClusterError, TimeoutError):
        return None
    return told
