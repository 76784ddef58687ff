"""Ports of 127.0.0.1, for servers that have to be told theirs before they start.

Invariant: a port that somebody listens at is not handed out. Not promised: that it is still free when it is used.
"""

import contextlib
import socket

from maestro.errors import ClusterError


def free_port(wished: int = 0) -> int:
    """`wished` if nobody listens there, else one that is free now.

    Raises:
        ClusterError: there is none.
    """
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ClusterError("no port is free on 127.0.0.1", hint="end what holds them")
