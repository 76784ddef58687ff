"""Ports for servers of a test's own."""

import random
import socket

BUS = 10_000
"""A Redis cluster's bus listens so far above its port."""


def free_port(bus: bool = False) -> int:
    """A port that nobody listens at, below those that go out; with `bus`, one whose cluster bus port is free, too."""
    for _ in range(1_000):
        port = random.randrange(11_000, 21_000)
        if all(_is_free(each) for each in ((port, port + BUS) if bus else (port,))):
            return port
    raise AssertionError("no port is free")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
