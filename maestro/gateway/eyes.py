"""Four eyes: who set a family going does not approve what it asks, where the installation says that two are needed.

Which actions those are, patterns say (`MAESTRO_FOUR_EYES`, such as `mail.*,transfer*`); who set a family going, this
door notes: whoever started a root here, forked it or sent it something. Invariants: only an approval needs the second
pair; whoever asked may always deny. A family that was set going elsewhere, by the command line or by code of its own,
has nobody noted: then whoever approves is the second.

Source: PROMISES B30.
"""

from fnmatch import fnmatchcase

from maestro.continuation.wait import ApprovalResolution, parts
from maestro.gateway.access import Asker
from maestro.gateway.gate import Gate
from maestro.gateway.problems import NotAllowed
from maestro.ids import ContinuationId
from maestro.runtime.verbs import checkpoint_of

KIND = "set going"


async def noted(gate: Gate, asker: Asker, cid: ContinuationId, like: ContinuationId | None = None) -> None:
    """Whoever asks has set the family of `cid` going, with those who had set that of `like`."""
    if not gate.four_eyes:
        return
    root = await _root(gate, cid)
    known = await _by(gate, await _root(gate, like)) if like is not None else set()
    for name in {*known, asker.name}:
        await gate.at.backend.register.add(KIND, _note(root, name), b"")


async def check(gate: Gate, asker: Asker, cid: ContinuationId, approval_id: str) -> None:
    """Whoever asks may approve that.

    Raises:
        NotAllowed: another one has to.
    """
    if not gate.four_eyes:
        return
    wait = (await checkpoint_of(gate.at, cid)).wait
    asked = [one for one in (parts(wait) if wait is not None else ()) if isinstance(one, ApprovalResolution)]
    needed = [
        one.action
        for one in asked
        if one.approval_id.startswith(approval_id) and any(fnmatchcase(one.action, wild) for wild in gate.four_eyes)
    ]
    if needed and await _has_set_going(gate, asker, await _root(gate, cid)):
        told = f"{needed[0][:200]!r} needs four eyes, and {asker.name} has set this going"
        raise NotAllowed(told, field="approval", hint="somebody else has to approve it; you may deny it")


async def _has_set_going(gate: Gate, asker: Asker, root: ContinuationId) -> bool:
    return await gate.at.backend.register.get(KIND, _note(root, asker.name)) is not None


async def _by(gate: Gate, root: ContinuationId) -> set[str]:
    """Who has set that family going, as far as this door knows."""
    mine = _note(root, "")
    return {note.removeprefix(mine) for note in await gate.at.backend.register.all(KIND) if note.startswith(mine)}


def _note(root: ContinuationId, name: str) -> str:
    """One note for each that sets a family going: of two that do so at once, none is lost."""
    return f"{root} {name}"


async def _root(gate: Gate, cid: ContinuationId) -> ContinuationId:
    line = gate.directory.lines.get(cid)
    return (await checkpoint_of(gate.at, cid)).root if line is None else line.root
