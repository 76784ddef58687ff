"""The fault table as a report, from the providers' own logs: who was asked, how often, what each billed.

Run: python -m tests.contract.fault_table   prints docs/fault-table.md; `make faults` writes it
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from maestro.adapters.litellm.sdk import close_connections
from maestro.errors import ModelError
from maestro.pager.prices import charge_of
from maestro.pager.retries import RetryPolicy
from maestro.policy.gradient import Tier
from maestro.testing.provider import Act, Cut, Drop, FakeProvider, Hang, Junk, Say, Status, Trickle
from tests.contract.models import HASTY, PROFILES, asking, load, router, target

BRIEF = RetryPolicy(max_retries=0, attempt_timeout_ms=12_000)  # for providers that hang
PATIENT_MS, SHORT_MS = 60_000, 12_000
FAULTS: dict[str, Act] = {
    "none": Say("fine", input_tokens=10),
    "429": Status(429),
    "429, Retry-After 240 s": Status(429, retry_after_s=240),
    "408": Status(408),
    "500": Status(500),
    "503": Status(503),
    "529": Status(529),
    "connection dropped": Drop(),
    "hangs": Hang(),
    "401": Status(401, "bad key"),
    "403": Status(403, "not for you"),
    "400": Status(400, "no such field"),
    "content policy": Status(400, "Output blocked by content filtering policy"),
    "cut in the answer": Cut(),
    "trickles past the deadline": Trickle(every_s=0.2),
    "hangs after its headers": Hang(after_headers=True),
    "no JSON": Junk(),
    "empty": Say(""),
}
"""What the first provider of a chain does, each time that it is asked."""
LATE = ("trickles past the deadline", "hangs after its headers")
ALL_OUT = "429 from all three"
HEAD = """# Who is asked, how often, and what is billed

The fault table of spec/05 section 7 for both tenant profiles, as the providers' own logs have it: three local servers
that speak the wire formats, the first of which fails as the row says, the others answer. Two tries per target, but one
where it hangs. `charged` is what the ledger settles; it is never below what was billed. An answer that was begun and
did not arrive is charged in full. Written by `make faults`; a test holds it.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One fault in one profile."""

    profile: str
    fault: str
    asked: tuple[int, ...]
    billed: tuple[int, ...]
    charged: str
    outcome: str

    def __str__(self) -> str:
        return f"| {self.fault} | {_row(self.asked)} | {_row(self.billed)} | {self.charged} | {self.outcome} |"


async def line_of(profile: str, fault: str, acts: Sequence[Act | None]) -> Line:
    """What happens to one call when the places of the chain act so; None answers."""
    wires = PROFILES[profile]
    fakes = [FakeProvider(act or Say("fine", input_tokens=10)) for act in acts]
    policy = BRIEF if fault == "hangs" else HASTY
    made = router({Tier.HAIKU: [target(wire, fake) for wire, fake in zip(wires, fakes, strict=True)]}, policy)
    try:
        request = asking(made, deadline_ms=SHORT_MS if fault in LATE else PATIENT_MS)
        try:
            answer = await made.answer(request)
            charged, outcome = str(answer.cost_usd_micros), f"answered by {answer.provider}"
        except ModelError as error:
            micros = charge_of(error)["usd"]
            charged = "in full" if micros == request.price["usd"] else str(micros)
            outcome = error.code
        asked = tuple(len(fake.calls) for fake in fakes)
        return Line(profile, fault, asked, tuple(fake.billed_usd_micros for fake in fakes), charged, outcome)
    finally:
        for fake in fakes:
            fake.close()


async def report() -> str:
    """The whole table, as it stands in docs/fault-table.md."""
    try:
        return await _report()
    finally:
        await close_connections()


async def _report() -> str:
    parts = [HEAD]
    waiting = [(profile, fault) for profile in PROFILES for fault in ("hangs", *LATE)]
    lines = await asyncio.gather(*(line_of(*where, [FAULTS[where[1]], None, None]) for where in waiting))
    known = dict(zip(waiting, lines, strict=True))  # they wait for nothing but time, so they do it together
    for profile, wires in PROFILES.items():
        parts.append(f"## {profile}: {', '.join(wires)}\n")
        parts.append("| the first one | asked | billed, micro-USD | charged | outcome |\n|---|---|---|---|---|")
        for fault, act in FAULTS.items():
            parts.append(str(known.get((profile, fault)) or await line_of(profile, fault, [act, None, None])))
        parts.append(str(await line_of(profile, ALL_OUT, [Status(429, retry_after_s=60)] * 3)) + "\n")
    return "\n".join(parts)


def _row(figures: Sequence[int]) -> str:
    return " / ".join(map(str, figures))


if __name__ == "__main__":
    load()
    print(asyncio.run(report()), end="")
