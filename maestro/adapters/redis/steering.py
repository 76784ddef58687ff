"""The writes of people on Redis."""

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys, ended, flat, unknown
from maestro.budget.ledger import Ledger, exceeded
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput
from maestro.field.decay import half_lives
from maestro.ids import ContinuationId, Partition, Rev, TimeMs, partition_of
from maestro.tick.steering import PERSON, UNCHANGED, Forked, moved, order_fact, strangers, unlimited
from maestro.tick.store import Birth, Delivered


class RedisSteering:
    """maestro.tick.steering.Steering on Redis."""

    def __init__(self, keys: Keys, virtual: bool) -> None:
        self._keys = keys
        self._virtual = virtual

    async def rebudget(
        self,
        cid: ContinuationId,
        more: BudgetVector,
        less: BudgetVector,
        key: str,
        exactly: BudgetVector = UNCHANGED,
        by: str = PERSON,
    ) -> Ledger:
        amounts = (codec.dumps(vector.root) for vector in (more, less, exactly))
        outcome, *facts = await self._keys.script(
            "rebudget", cid, cid, *amounts, key, by, codec.granted_line(key, more)
        )
        match outcome:
            case b"ok":
                return codec.ledger_of(facts[0]) if facts else await self._ledger(cid)
            case b"terminal":
                raise await ended(self._keys, cid)
            case b"budget":
                raise exceeded("take back", facts[0].decode(), facts[1], facts[2])
            case _:
                raise unknown(cid)

    async def soften(self, cid: ContinuationId, caps: BudgetVector, by: str = PERSON) -> Ledger:
        outcome, *facts = await self._keys.script("soften", cid, cid, codec.dumps(caps.root), by)
        match outcome:
            case b"ok":
                return codec.ledger_of(facts[0])
            case b"terminal":
                raise await ended(self._keys, cid)
            case _:
                raise unknown(cid)

    async def transfer(
        self, source: ContinuationId, to: ContinuationId, amount: BudgetVector, key: str, by: str = PERSON
    ) -> tuple[Ledger, Ledger]:
        if partition_of(source) != partition_of(to):
            raise strangers(source, to)
        told = codec.granted_line(f"transfer:{key}", amount)
        moved = codec.dumps(amount.root)
        outcome, *facts = await self._keys.script("transfer", source, source, to, moved, key, by, told)
        match outcome:
            case b"ok":
                return codec.ledger_of(facts[0]), codec.ledger_of(facts[1])
            case b"terminal":
                raise await ended(self._keys, ContinuationId(facts[0].decode()))
            case b"strangers":
                raise strangers(source, to)
            case b"unlimited":
                raise unlimited(ContinuationId(facts[0].decode()), facts[1].decode())
            case b"budget":
                raise exceeded("transfer", facts[0].decode(), facts[1], facts[2])
            case _:
                raise unknown(ContinuationId(facts[0].decode()))

    async def fork(self, source: ContinuationId, birth: Birth, key: str = "", whole_at: Rev | None = None) -> Forked:
        plan = codec.dumps(codec.birth_plan(birth, None))
        outcome, *facts = await self._keys.script(
            "fork",
            source,
            source,
            plan,
            birth.checkpoint,
            birth.record,
            -1 if whole_at is None else whole_at,
            key,
            *half_lives(),
        )
        match outcome:
            case b"ok" | b"exists":
                return Forked(ContinuationId(facts[0].decode()), duplicate=outcome == b"exists")
            case b"moved":
                raise moved(source, Rev(facts[0]))
            case b"gone":
                raise await ended(self._keys, source)
            case b"budget":
                raise exceeded("move", facts[0].decode(), facts[1], facts[2])
            case _:
                raise unknown(source)

    async def freeze(
        self, cid: ContinuationId, frozen: bool, by: str = PERSON, reason: str = "", tree: bool = False
    ) -> None:
        scope = "tree" if tree else "one"
        if not await self._keys.script("freeze", cid, cid, int(frozen), by, reason, scope):
            raise unknown(cid)

    async def brake(self, on: bool, by: str = PERSON, reason: str = "") -> bool:
        places = [self._keys.partition(Partition(number)) for number in range(self._keys.partitions)]
        return any([await self._keys.wire.script("brake", place, int(on), by, reason) for place in places])

    async def order(self, to: ContinuationId, mail: Mail) -> Delivered:
        told = codec.dumps(order_fact(to, mail))
        arguments = (to, codec.box(mail), mail.wake_key, mail.id, codec.line(mail), told)
        (outcome, *_) = await self._keys.script("order", to, *arguments)
        match outcome:
            case b"ok" | b"duplicate":
                return Delivered(duplicate=outcome == b"duplicate")
            case b"terminal":
                raise await ended(self._keys, to)
            case _:
                raise unknown(to)

    async def advance(self, by_ms: int) -> TimeMs:
        if not self._virtual:
            raise InvalidInput(
                "this store runs on the system clock",
                field="clock",
                hint="create a store with MAESTRO_CLOCK=virtual to move its time",
            )
        if by_ms < 0:
            raise InvalidInput(f"a clock cannot go back by {-by_ms} ms", field="by", hint="give a time such as 21d")
        times = [
            await self._keys.wire.script("advance", self._keys.partition(Partition(p)), by_ms)
            for p in range(self._keys.partitions)
        ]
        return TimeMs(int(times[0]))

    async def _ledger(self, cid: ContinuationId) -> Ledger:
        return codec.ledger_of(flat(await self._keys.wire.execute("HGETALL", f"{self._keys.of(cid)}:b:{cid}")))
