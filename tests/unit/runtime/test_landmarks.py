"""What a store does not know any more of what is remembered of it, and what is done about it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from maestro.adapters.files.marks import FileMarks
from maestro.errors import InvalidInput, StoreWentBack
from maestro.ids import TimeMs
from maestro.runtime.identity import Standing
from maestro.runtime.landmarks import Landmarks, judge

MARK = Standing("store-a", 3, 100, 700, TimeMs(50_000), "run-1")


@pytest.mark.parametrize(
    ("found", "everysec", "loss"),
    [
        (MARK, False, None),
        (replace(MARK, committed=101, writes=800, told_ms=TimeMs(51_000), server="run-2"), False, None),
        (replace(MARK, store=None, committed=0, told_ms=TimeMs(0)), False, "empty"),
        (replace(MARK, store="store-b", committed=900), True, "another"),
        (replace(MARK, writes=699), False, "older"),
        (replace(MARK, told_ms=TimeMs(49_900)), False, "older"),
        (replace(MARK, incarnation=2, committed=900), True, "older"),
        (replace(MARK, shut=True), True, "older"),
        (replace(MARK, incarnation=4, shut=True), True, "older"),
        (replace(MARK, incarnation=4, writes=1), False, None),
        (replace(MARK, server="run-2"), True, "second"),
        (replace(MARK, server="run-2", writes=690, told_ms=TimeMs(48_000)), True, "second"),
        (replace(MARK, server="run-2", writes=690, told_ms=TimeMs(47_999)), True, "older"),
        (replace(MARK, writes=690, told_ms=TimeMs(49_500)), True, "older"),
    ],
)
def test_what_is_lost(found: Standing, everysec: bool, loss: str | None) -> None:
    judged = judge(MARK, found, everysec)
    assert (judged and judged.kind) == loss


@dataclass
class Scripted:
    """A store that says of itself what a test wants."""

    standing: Standing
    note: str = ""

    async def read(self) -> Standing:
        return self.standing

    async def shut(self) -> None:
        self.standing = replace(self.standing, shut=True)

    async def incarnate(self, store: str, incarnation: int, note: str, fact: bytes) -> int:
        self.note = note
        self.standing = replace(self.standing, store=store, incarnation=incarnation, shut=False)
        return 0


async def test_what_is_remembered_is_never_overwritten_by_less(tmp_path: Path) -> None:
    marks, store = FileMarks(tmp_path / "marks" / "here" / "acme.json"), Scripted(MARK)
    landmarks = Landmarks(store, marks)
    assert await landmarks.look() is None
    assert marks.read() == MARK
    store.standing = replace(MARK, committed=7, writes=49)
    for _ in range(2):
        with pytest.raises(StoreWentBack, match=r"93 commits or more .*--accept-older-store"):
            await landmarks.look()
    assert store.standing.shut
    assert marks.read() == MARK
    loss = await landmarks.look(accept=True)
    assert loss is not None
    assert (store.standing.incarnation, store.standing.shut) == (4, False)
    assert marks.read() == store.standing
    assert await landmarks.look() is None


async def test_another_store_is_not_touched_until_a_person_says_so(tmp_path: Path) -> None:
    marks, store = FileMarks(tmp_path / "marks" / "here" / "acme.json"), Scripted(replace(MARK, store="store-b"))
    marks.keep(MARK)
    with pytest.raises(StoreWentBack, match="another store"):
        await Landmarks(store, marks).look()
    assert not store.standing.shut
    await Landmarks(store, marks).look(accept=True)
    assert (store.standing.store, store.standing.incarnation) == ("store-b", 4)


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    marks = FileMarks(tmp_path / "marks" / "here" / "acme.json")
    marks.keep(MARK)
    marks.path.write_text('{"store": 1')
    with pytest.raises(InvalidInput, match="cannot be read"):
        marks.read()
    marks.forget()
    assert marks.read() is None
