"""What `maestro up` refuses to start on, because a promise would rest on it and it is known not to hold.

Invariants: each refusal names what was seen and the fix; what is not told (a hosted store that hides its settings) is
`maestro doctor`'s business, and no reason to refuse; with `insecure_dev` nothing is refused, and all of it is said.

Not here: what `maestro up` itself starts. The embedded store is made safe, and the local cluster has a token and
listens on loopback alone.

Source: PROMISES B85, B87.
"""

import importlib.metadata
import ipaddress
from collections.abc import Iterator, Sequence

import grpc  # type: ignore[import-untyped]  # it ships no types

from maestro.adapters.redis.checks import losing_at
from maestro.errors import UnfitInstallation
from maestro.settings import Settings

TESTED_RAY = "2.60"
"""We call some of its functions by names that another line may have changed."""
CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
ANSWER_S = 5.0
ANYWAY = "MAESTRO_INSECURE_DEV=1 goes on all the same, where nothing is to be lost"


def check_fit(settings: Settings) -> Sequence[str]:
    """What is wrong and was let pass because of `insecure_dev`; else nothing is.

    Raises:
        UnfitInstallation: something is wrong; all of it, with the fix of each.
    """
    wrong = [*_ray(), *_store(settings), *_cluster(settings)]
    if wrong and not settings.insecure_dev:
        raise UnfitInstallation("; ".join(wrong), hint=ANYWAY)
    return wrong


def ray_fits(version: str) -> bool:
    """It is of the line that was tested."""
    return version.startswith(f"{TESTED_RAY}.")


def is_loopback(address: str) -> bool:
    """True for an address that only this machine reaches, IPv4 written as IPv6 included."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def lets_anyone_in(address: str) -> bool:
    """The control store at `address` answers somebody who has no token; one that does not answer lets nobody in."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(CHECK_ALIVE, request_serializer=bytes, response_deserializer=bytes)
        try:
            ask(b"", timeout=ANSWER_S)
        except grpc.RpcError:
            return False
    return True


def _ray() -> Iterator[str]:
    version = importlib.metadata.version("ray")
    if not ray_fits(version):
        yield f"Ray {version} was not tested: install {TESTED_RAY}.* from the lock"


def _store(settings: Settings) -> Iterator[str]:
    url = settings.store_url()
    if url is not None:
        for found in losing_at(url, settings.redis_fsync):
            yield f"the store's {found.check} is {found.seen}: {found.fix}"


def _cluster(settings: Settings) -> Iterator[str]:
    address = settings.ray_address
    if address is not None and not _is_here(address) and lets_anyone_in(address):
        yield f"Ray at {address} lets anyone in: start its nodes with RAY_AUTH_MODE=token, as cluster.yaml does"


def _is_here(address: str) -> bool:
    """HOST:PORT leads to this machine alone; a name is one of somewhere else."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return is_loopback(host)
    except ValueError:
        return host == "localhost"
