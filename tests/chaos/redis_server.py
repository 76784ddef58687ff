"""A Redis of one's own that can be killed -9 and started again on what it had written."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from maestro.adapters.redis.binary import find_binary

START_S = 20.0


class OwnRedis:
    """A server on a socket of its own; every acknowledged write is on disk (`appendfsync always`)."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mx-", dir="/tmp"))  # a socket's path must be short
        self._socket = self.folder / "s"
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """It answers, with all that was written before."""
        settings = f"port 0\nunixsocket {self._socket}\nappendonly yes\nappendfsync always\naof-load-truncated no\n"
        (self.folder / "conf").write_text(f'{settings}save ""\ndir {self.folder}\nlogfile {self.folder / "log"}\n')
        self._server = subprocess.Popen([find_binary(None).path, self.folder / "conf"])
        deadline = time.monotonic() + START_S
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            while not _answers(client):
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.005)

    def kill(self) -> None:
        """It is gone without a word, and its parent has noticed."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(10)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False
