"""Carries a strike out: inflicts it, lets it last, heals it.

Invariants: what is struck is healed, also when the run is cancelled meanwhile; a victim that went by itself is no
error.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable

from maestro.chaos.catalogue import Victims
from maestro.chaos.ground import Ground
from maestro.chaos.proxy import Mode
from maestro.chaos.schedule import Strike
from maestro.errors import StoreError

STARVED_BYTES = 1_000_000  # less than an empty server takes


async def carry_out(strike: Strike, ground: Ground) -> str:
    """The fault came and went; returns whom it met."""
    wound, for_s = strike.wound, strike.for_ms / 1000
    met = ", ".join(map(str, _chosen(strike, ground))) or wound.victims
    match wound.act:
        case "kill" | "kill_all":
            await _killed(strike, ground)
            await asyncio.sleep(for_s)
        case "pause":
            await _paused(_chosen(strike, ground), for_s)
        case "end":
            _signalled(_chosen(strike, ground), signal.SIGTERM)
        case "proxy":
            await _network(strike, ground)
        case "flush_scripts":
            await _said(ground, "SCRIPT", "FLUSH")
        case "cut_clients":
            await _said(ground, "CLIENT", "KILL", "TYPE", "normal")
        case "client_pause":
            await _said(ground, "CLIENT", "PAUSE", strike.for_ms, "ALL")
            await asyncio.sleep(for_s)
        case "memory_limit":
            await _starved(ground, for_s)
        case "twin":
            await ground.double(True)
            try:
                await asyncio.sleep(for_s)
            finally:
                await ground.double(False)
    await ground.restore()
    return met


def _chosen(strike: Strike, ground: Ground) -> list[int]:
    """One of the candidates; all of them where the wound is for all."""
    candidates = list(ground.pids(strike.wound.victims))
    if strike.wound.act == "kill_all" or strike.wound.act == "end" or not candidates:
        return candidates
    return [candidates[strike.victim % len(candidates)]]


async def _killed(strike: Strike, ground: Ground) -> None:
    victims: Victims = strike.wound.victims
    _signalled(_chosen(strike, ground), signal.SIGKILL)
    if victims in ("store", "everything"):
        await ground.store.kill()  # collects it


async def _paused(pids: Iterable[int], for_s: float) -> None:
    pids = list(pids)
    _signalled(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        _signalled(pids, signal.SIGCONT)


def _signalled(pids: Iterable[int], sign: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


async def _network(strike: Strike, ground: Ground) -> None:
    proxies = ground.proxies(strike.wound.victims, strike.victim)
    if strike.wound.mode == "drop_replies":
        for proxy in proxies:
            proxy.drop_replies()
        return
    for proxy in proxies:
        proxy.mode = Mode(strike.wound.mode)
    try:
        await asyncio.sleep(strike.for_ms / 1000)
    finally:
        for proxy in proxies:
            proxy.mode = Mode.PASS


async def _starved(ground: Ground, for_s: float) -> None:
    await _said(ground, "CONFIG", "SET", "maxmemory", STARVED_BYTES)
    try:
        await asyncio.sleep(for_s)
    finally:
        await _said(ground, "CONFIG", "SET", "maxmemory", 0)


async def _said(ground: Ground, *command: object) -> None:
    with contextlib.suppress(StoreError):  # it may cut off who says so
        await ground.store.say(*command)
