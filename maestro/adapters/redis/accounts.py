"""Accounts above families, on Redis: each step one script, in the partition of the accounts or of the family."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys, flat
from maestro.budget.accounts import AccountPath, Rest, Slice, account_home, no_account, path_above, too_little
from maestro.budget.ledger import TAKE_BACK, Ledger, exceeded
from maestro.budget.vector import BudgetVector
from maestro.ids import ContinuationId, Partition, TimeMs


class RedisAccounts:
    """maestro.budget.accounts.Accounts on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def grant(
        self, path: AccountPath, more: BudgetVector, less: BudgetVector, exactly: BudgetVector, key: str
    ) -> Ledger:
        amounts = (codec.dumps(vector.root) for vector in (more, less, exactly))
        outcome, *facts = await self._script("account_grant", path, path, *amounts, key)
        if outcome == b"budget":
            raise exceeded(TAKE_BACK, facts[0].decode(), facts[1], facts[2])
        return codec.ledger_of(flat(facts[0]))

    async def of(self, partition: Partition) -> Mapping[AccountPath, Ledger]:
        place = self._keys.partition(partition)
        paths = sorted(path.decode() for path in await self._keys.wire.execute("SMEMBERS", f"{place}:accts"))
        found = [(path, flat(await self._keys.wire.execute("HGETALL", f"{place}:acct:{path}"))) for path in paths]
        return {AccountPath(path): codec.ledger_of(fields) for path, fields in found}

    async def lend(self, asked: Slice, bounded: bool) -> BudgetVector | None:
        amount = codec.dumps(asked.amount.root)
        told = (_paths(asked.path), asked.key, asked.cid, asked.kind, amount, int(bounded))
        outcome, *facts = await self._script("lend", asked.path, *told)
        match outcome:
            case b"ok":
                return BudgetVector(orjson.loads(facts[0]))
            case b"budget":
                raise too_little(facts[0].decode(), facts[1].decode(), facts[2], facts[3])
            case b"unknown":
                raise no_account(asked.path)
            case _:
                return None

    async def close(self, path: AccountPath, key: str, taken: bool) -> None:
        await self._script("close_slice", path, _paths(path), key, int(taken))

    async def open_slices(self, partition: Partition) -> Sequence[Slice]:
        lines = await self._keys.wire.execute("HVALS", f"{self._keys.partition(partition)}:slices")
        return [_slice_of(orjson.loads(line)) for line in lines]

    async def repay(self, rest: Rest) -> None:
        amounts = codec.dumps(rest.amount.root)
        await self._script("repay", rest.path, _paths(rest.path), rest.key, rest.cid, amounts)

    async def void(self, cid: ContinuationId) -> bool:
        return bool(await self._keys.script("void", cid, cid))

    async def owing(self, partition: Partition) -> Sequence[ContinuationId]:
        cids = await self._keys.wire.execute("SMEMBERS", f"{self._keys.partition(partition)}:owing")
        return sorted(ContinuationId(cid.decode()) for cid in cids)

    async def owed(self, cid: ContinuationId) -> Rest | None:
        reply = await self._keys.script("owed", cid, cid)
        if not reply:
            return None
        path, number, amounts = reply
        return Rest(cid, AccountPath(path.decode()), number, BudgetVector(orjson.loads(amounts)))

    async def repaid(self, rest: Rest) -> None:
        await self._keys.script("repaid", rest.cid, rest.cid, rest.number)

    async def _script(self, name: str, path: AccountPath, *arguments: object) -> list[Any]:
        place = self._keys.partition(account_home(path, self._keys.partitions))
        reply = await self._keys.wire.script(name, place, *arguments)
        return reply if isinstance(reply, list) else []


def _paths(path: AccountPath) -> bytes:
    return orjson.dumps(path_above(path))


def _slice_of(told: dict[str, object]) -> Slice:
    return Slice(
        path=AccountPath(str(told["path"])),
        key=str(told["key"]),
        cid=ContinuationId(str(told["cid"])),
        kind="start" if told["kind"] == "start" else "more",
        amount=BudgetVector.model_validate(told["amount"]),
        lent_ms=TimeMs(int(float(str(told["at_ms"])))),
    )
