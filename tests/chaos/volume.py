"""A small disk of one's own, whose power can be cut: ext4 in a file, mounted by a loop device. Needs root."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH


class Volume:
    """Mounted at `at`."""

    def __init__(self, image: Path, at: Path) -> None:
        self.at = at
        self._image = image

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.at)], check=True, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.at)], check=True, capture_output=True)

    def cut_power(self) -> None:
        """What is in no block of the disk by now will never be; every call on it fails until it is mounted again."""
        folder = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(folder)

    def fill(self) -> Path:
        """Nothing more fits; returns what takes the room."""
        ballast = self.at / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        return ballast


@contextmanager
def volume(folder: Path, megabytes: int) -> Iterator[Volume]:
    """A new disk; where none can be made the test is skipped with the reason."""
    if os.geteuid() != 0:
        pytest.skip("a disk of one's own needs root")
    image, at = folder / "disk", folder / "d"
    at.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    made = Volume(image, at)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
        made.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk of one's own can be mounted here: {error}")
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False, capture_output=True)
