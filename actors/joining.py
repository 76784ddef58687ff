"""Joining a Ray cluster as a driver: token, loopback address, namespace; and asking whether one answers.

Three of Ray's ways need care. Two are read once at import: the token mode, which `ray.init` with an explicit address
never turns on by itself; and the address, in which Ray replaces 127.0.0.1 by the machine's own, unless it believes that
there is one machine only. That belief also decides whether the ports of a new head listen on loopback alone. And what
the cluster warns every driver of, Ray prints on stdout, whatever `log_to_driver` says: in the midst of our JSON.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
import structlog
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray._raylet import (  # type: ignore[attr-defined]  # a compiled module without types
    AuthenticationTokenLoader,  # pyright: ignore[reportAttributeAccessIssue]
    Config,  # pyright: ignore[reportAttributeAccessIssue]
    GcsClient,  # pyright: ignore[reportAttributeAccessIssue]
)
from ray.core.generated import gcs_pb2
from ray.exceptions import RayError

from actors.names import NAMESPACE
from maestro.errors import ClusterError

ONE_MACHINE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""0 keeps Ray on 127.0.0.1, on Linux too."""
_PRINTS = "print_to_stdstream"
"""What Ray's listening thread calls by its name (ray._private.worker, 2.60); a test of the local cluster holds it."""

log = structlog.get_logger()


def shell_environment(address: str, token_file: Path) -> Mapping[str, str]:
    """What a shell needs, so that `ray status` and its kin reach a cluster of ours."""
    return {"RAY_ADDRESS": address, **token_environment(token_file), ONE_MACHINE: "0"}


def token_environment(token_file: Path) -> Mapping[str, str]:
    """Token authentication, said outright: a node without it would start open, with a warning."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}


def carry_token(token_file: Path) -> None:
    """This process authenticates with that token from now on, whenever Ray was imported."""
    wanted = token_environment(token_file)
    if any(os.environ.get(name) != value for name, value in wanted.items()) or "RAY_AUTH_TOKEN" in os.environ:
        os.environ.pop("RAY_AUTH_TOKEN", None)  # it would go before the file
        os.environ.update(wanted)
        forget_token()


def forget_token() -> None:
    """What Ray has read of its environment is read anew."""
    Config.initialize("")  # as Ray does itself when it turns the mode on
    AuthenticationTokenLoader.instance().reset_cache()


def join(address: str, *, local: bool) -> None:
    """This process is a driver of the cluster at `address`, in our namespace; a second time changes nothing.

    Raises:
        ClusterError: nobody answers there, the token or a version does not fit, or it already joined another.
    """
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if joined != address:
            raise ClusterError(f"this process is a driver of {joined} already", hint=f"leave it to join {address}")
        return
    setattr(ray_worker, _PRINTS, _log_warnings)
    try:
        with _one_machine() if local else contextlib.nullcontext():
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(f"cannot join Ray at {address}: {error}", hint="run `maestro up`") from error


def _log_warnings(data: Mapping[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001 - Ray's own signature
    """A warning of the cluster is in the log, and on no stream of the program's."""
    for text in data["lines"]:
        log.warning("Ray warns", text=text)


def answers(address: str, patience_s: float) -> bool:
    """True when the control store answers within `patience_s` and knows a living node.

    The client blocks for as long as it likes when its server is paused: it is asked on a thread of its own.
    """
    return bool(living_nodes(address, patience_s))


def living_nodes(address: str, patience_s: float) -> frozenset[str] | None:
    """The names of the nodes that the control store holds for living; None when it does not answer in time."""
    answer: list[frozenset[str] | None] = []
    asking = threading.Thread(target=lambda: answer.append(_living(address, patience_s)), daemon=True)
    asking.start()
    asking.join(patience_s)
    return answer[0] if answer else None


def _living(address: str, patience_s: float) -> frozenset[str] | None:
    try:
        nodes = GcsClient(address=address).get_all_node_info(timeout=patience_s)
    except (RayError, RuntimeError):
        return None
    alive = gcs_pb2.GcsNodeInfo.ALIVE  # type: ignore[attr-defined]  # generated code without types
    return frozenset(node.node_name for node in nodes.values() if node.state == alive)


@contextlib.contextmanager
def _one_machine() -> Iterator[None]:
    """Ray leaves 127.0.0.1 as it is inside the block; a remote cluster can still be joined afterwards."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
