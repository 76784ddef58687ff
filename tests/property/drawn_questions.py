"""Ten thousand questions drawn from a seed, and what the kernel says to them: as a module, in a process of its own.

Run: python -m tests.property.drawn_questions SEED COUNT   prints one digest of questions and decisions
"""

import hashlib
import sys
from collections.abc import Iterator
from random import Random

import orjson

from maestro.budget.ledger import Account
from maestro.policy.decision import Decision, Mode
from maestro.policy.gradient import LADDER, Tier
from maestro.policy.kernel import decide
from maestro.policy.price import AdvisorTerms, CallSize, TokenPrice
from maestro.policy.question import Conditions, PolicyConfig, Priority, Question, Signals, TaskKind
from maestro.policy.recorded import record_of, terms_of

RESOURCES = ("usd", "cheap_model_calls", "expensive_model_calls", "tokens", "tool.search", "human.approvals")
LARGEST = {"usd": 2_000_000, "tokens": 500_000}


def drawn(seed: int, count: int) -> Iterator[Question]:
    """So many questions; the same seed draws the same."""
    luck = Random(seed)
    for _ in range(count):
        yield _question(luck)


def digest(seed: int, count: int) -> str:
    """One hash over every question and the whole of its decision."""
    told = hashlib.sha256()
    for question in drawn(seed, count):
        told.update(orjson.dumps([record_of(question), terms_of(question)]))
        told.update(line_of(decide(question)).encode())
    return told.hexdigest()


def line_of(decision: Decision) -> str:
    """The decision in all its parts; a set in it would show by the order of its elements."""
    return repr(decision)


def _question(luck: Random) -> Question:
    tiers = [tier for tier in Tier if luck.random() < 0.9]
    return Question(
        size=CallSize(
            luck.randrange(200_000), luck.randrange(8_000), luck.randrange(200_000), luck.choice((None, *Tier))
        ),
        prices={tier: TokenPrice(*(luck.randrange(30_000_000) for _ in range(3))) for tier in Tier},
        asked=luck.choice((None, *LADDER)),
        signals=Signals(
            kind=luck.choice(tuple(TaskKind)),
            complexity=luck.random(),
            novelty=luck.random(),
            uncertainty=luck.random(),
            priority=luck.choice(tuple(Priority)),
            value_usd_micros=luck.choice((None, luck.randrange(5_000_000))),
            batchable=luck.random() < 0.5,
            independent=luck.random() < 0.5,
            mode=luck.choice((None, None, None, Mode.SYNC, Mode.ASYNC, Mode.BATCH)),
        ),
        budget=tuple(_accounts(luck) for _ in range(luck.randrange(4))),
        conditions=Conditions(
            deadline_in_ms=luck.choice((None, luck.randrange(-1_000, 300_000))),
            queue_depth=luck.randrange(400),
            providers_up=luck.random() < 0.8,
            expected_latency_ms=luck.randrange(300_000),
            turns_left=luck.choice((None, None, luck.randrange(4))),
            children_left=luck.choice((None, luck.randrange(3))),
            depth_left=luck.choice((None, luck.randrange(3))),
        ),
        config=PolicyConfig(
            advisor=AdvisorTerms(luck.randrange(1_001), luck.randrange(5_000)),
            advisor_enabled=luck.random() < 0.7,
            allowed_tiers=frozenset(tiers),
            allow_override=luck.random() < 0.3,
        ),
        pinned=luck.random() < 0.2,
    )


def _accounts(luck: Random) -> dict[str, Account]:
    accounts = {}
    for resource in RESOURCES:
        if luck.random() < 0.5:
            granted = luck.choice((None, luck.randrange(LARGEST.get(resource, 20))))
            parts = [luck.randrange((granted or 10) // 2 + 1) for _ in range(3)]
            accounts[resource] = Account(granted, *parts)
    return accounts


if __name__ == "__main__":
    print(digest(int(sys.argv[1]), int(sys.argv[2])))
