"""A context as it was: what of the field the last model call up to a tick saw, by the manifest that was kept with it.

Nothing is computed again: the rows are the lines of that manifest, in the order in which the model read them, each with
the very text. Scores and ages of then are not kept, and not made up. Invariant: how far is looked back is bounded.

Source: spec/06 section 2, spec/03 section 12.5.
"""

import re
from collections.abc import Iterator
from functools import partial

from maestro.continuation.checkpoint import LogRecord
from maestro.errors import InvalidInput
from maestro.field.layout import PINNED
from maestro.field.manifest import Manifest, cut
from maestro.gateway.gate import Gate
from maestro.gateway.shapes import FieldRow, FieldSeen, Then
from maestro.ids import ContinuationId
from maestro.runtime.verbs import glance_of
from maestro.tick.asking import Prompt, read_prompt

STRETCH, LOOKED_BACK = 50, 1_000  # ticks that are read together, and in all: a call is seldom far
_ENTRY = re.compile(
    r'<entry id="[^"]*" taint="(?P<taint>[^"]*)">(?P<title>[^\n]*?)(?:\n(?P<body>.*))?</entry>', re.DOTALL
)
_HEADING = re.compile(r"From (?P<source>.*):")


async def field_at(gate: Gate, cid: ContinuationId, rev: int, top: int) -> FieldSeen:
    """The context of the last model call in the ticks up to `rev`; without rows where there was none.

    Raises:
        InvalidInput: it has no such tick.
    """
    last = (await glance_of(gate.at, cid)).rev
    if rev > last:
        raise InvalidInput(f"{cid} has no tick {rev}", field="at", hint=f"give 0 to {last}")
    for end in range(rev, max(0, rev - LOOKED_BACK), -STRETCH):
        for _, line in reversed(await gate.at.backend.records.log(cid, max(1, end - STRETCH + 1), end)):
            record = LogRecord.model_validate_json(gate.at.seal.open(line, "record", cid, gate.at.tenant).body)
            asked = [one.asked for one in record.effects if isinstance(one.asked, dict) and "manifest" in one.asked]
            if asked:
                prompt = await read_prompt(asked[-1], partial(gate.at.backend.blocks.get, cid))
                manifest = Manifest.model_validate(prompt.manifest, strict=False)
                seen = Then(rev=record.rev, hash=prompt.manifest_hash, tokens=prompt.tokens, left_out=manifest.left_out)
                rows = list(_rows(manifest, prompt))[:top]
                return FieldSeen(id=cid, items=rows, at_ms=record.started_at_ms, then=seen)
    return FieldSeen(id=cid, items=[], at_ms=await gate.at.backend.clock.now_ms(), then=Then(rev=None))


def _rows(manifest: Manifest, prompt: Prompt) -> Iterator[FieldRow]:
    """A row for each entry that stood in the request, in the order of its lines."""
    texts, heads, heading = {}, {}, ""
    said = [prompt.system, *(message.content for message in prompt.messages)]
    places = [iter(pieces) for pieces in cut(said, manifest.spans)] if manifest.spans else []
    for span in manifest.spans:
        text = next(places[span.message])
        if span.what == "heading":
            heading = text.strip()
        elif span.id is not None:
            texts[span.id], heads[span.id] = text.strip(), heading
    for line in manifest.lines:
        form, source = _ENTRY.fullmatch(texts.get(line.id, "")), _HEADING.fullmatch(heads.get(line.id, ""))
        yield FieldRow(
            id=line.id,
            title=form["title"] if form else "",
            source=source["source"] if source else "",
            state="pinned" if heads.get(line.id) == PINNED else "active",
            view=line.view.value,
            score=None,
            weight=None,
            age_ms=None,
            reason=line.reason,
            taint=form["taint"] if form else "",
            body=(form["body"] or "") if form else "",
            entry={"id": line.id, "tokens": line.tokens, "text": texts.get(line.id)},
        )
