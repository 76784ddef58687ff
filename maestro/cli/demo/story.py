"""`maestro demo`: the main job, offline, from nothing, each narrated line checked.

Nothing here is staged: a real Redis, a real Ray, a real HTTP feed, real model calls over HTTP to a provider that this
process runs and that counts on its own side. Its answers are those of `rehearsal`, the extractive model.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import psutil
from pydantic import JsonValue, SecretStr

from actors import cluster, installation
from maestro import bootstrap
from maestro.adapters.litellm.rehearsal import rehearse
from maestro.adapters.redis import server
from maestro.budget.vector import Budget, format_usd
from maestro.cli.demo.feed import DemoFeed, Paper, announcements
from maestro.cli.demo.narrator import PATIENCE_S, Narrator, Untrue, within
from maestro.cli.demo.onlooker import Onlooker, invited
from maestro.cli.pane import served
from maestro.client import ContinuationHandle, Maestro, run_sync
from maestro.mesh.source import SourceRecord
from maestro.pane import views
from maestro.settings import Settings
from maestro.testing.provider import FakeProvider, JsonObject, Reply, Say

SUBJECT = "papers.demo"
BUDGET = "1.00"
THINKING_S = 20.0  # how long the provider may be kept thinking while its caller is killed
PRICE = "1/5"


@dataclass
class Provider:
    """The other side of every model call: it answers as `rehearsal` does, counts, and can be kept thinking."""

    fake: FakeProvider = field(default_factory=FakeProvider)
    may_answer: threading.Event = field(default_factory=threading.Event)
    thinking: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.fake.default = Reply(self._answer)

    def _answer(self, body: JsonObject) -> Say:
        self.thinking.set()
        self.may_answer.wait(THINKING_S)
        messages = body["messages"]
        answer = rehearse([m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else [])
        return Say(answer.text, input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)

    def settings(self) -> tuple[Mapping[str, str], Mapping[str, SecretStr]]:
        """Every tier is this provider."""
        names = [f"MAESTRO_TIER_{tier}" for tier in ("OPUS", "SONNET", "HAIKU")]
        plain = dict.fromkeys(names, "openai/rehearsal")
        plain |= {f"{name}_API_BASE": self.fake.openai_base for name in names}
        plain |= {f"{name}_PRICE": PRICE for name in names}
        return plain, {f"{name}_API_KEY": SecretStr("offline") for name in names}


@dataclass
class Demo:
    """What the chapters share."""

    told: Narrator
    settings: Settings
    provider: Provider
    feed: DemoFeed
    maestro: Maestro
    monitors: dict[str, ContinuationHandle] = field(default_factory=dict)
    onlooker: Onlooker | None = None

    def papers(self, goal: str) -> tuple[Paper, ...]:
        return self.feed.day.relevant_to(goal)

    def rows(self) -> list[dict[str, JsonValue]]:
        return self.maestro.list()

    def settled(self) -> bool:
        """Nobody is ready or thinking: all sleep, wait for a person, or are done."""
        return all(row["activity"] in ("sleeping", "waiting_on_you", "done") for row in self.rows())

    def nobody_waits(self) -> bool:
        """All sleep or are done; no person is asked anything."""
        return all(row["activity"] in ("sleeping", "done") for row in self.rows())

    def read(self, goal: str) -> int:
        """How many papers the monitor of `goal` has judged."""
        state = self.monitors[goal].status()["state"]
        return int(str(state["seen"])) if isinstance(state, dict) else 0

    def spent_micros(self) -> int:
        return sum(int(str(row["spent_usd_micros"])) for row in self.rows())

    def findings(self) -> list[dict[str, JsonValue]]:
        at = self.maestro.installation
        lines = [run_sync(at.backend.records.findings(handle.id)) for handle in self.monitors.values()]
        return [finding for found in lines for finding in views.findings(found)]

    def pids(self) -> dict[str, int]:
        """Actor -> process, of the pool that thinks."""
        pools = _below(installation.tree(self.settings), "pools")
        return {str(node["id"]): int(str(node["pid"])) for node in pools if str(node["id"]).startswith("pool/default/")}


def main(settings: Settings, pane: bool = False, chapters: int = 8) -> int:
    """The exit status: 0 only if every narrated line held; nothing of the demo runs or lies around afterwards.

    Args:
        pane: the story is told to whoever watches in the pane, too, and waits for them where a person is asked.
        chapters: how many of them are told.
    """
    print("Maestro demo: offline, on a store and a Ray of its own. Model answers come from `rehearsal` (extractive).")
    told = Narrator()
    with ExitStack() as stack:
        provider = Provider()
        stack.callback(provider.fake.close)
        stack.callback(provider.may_answer.set)
        feed = stack.enter_context(DemoFeed())
        tiers, keys = provider.settings()
        own = settings.having(
            home=settings.home / "demo", clock="virtual", redis_url=None, tiers=tiers, tier_keys=keys, feeds={},
            pool_size=3, swarm_size=0, dashboard_port=0,
        )  # fmt: skip
        own = served(own.having(pane=None), on=pane)
        stack.callback(_clear, own)
        _clear(own)
        try:
            _tell(told, own, (provider, feed), chapters)
        except Untrue as untrue:
            print(f"  NOT SO: {untrue}\n  logs: {own.home}/logs", file=sys.stderr)
            return 1
    told.chapter("Afterwards")
    told.says("no process of the demo is left", not _left(own))
    print(f"\n{told.lines} lines told, each one checked, in {time.monotonic() - told.began:.0f} s. Next:\n{NEXT}")
    return 0


NEXT = """  maestro up                                   # your own store and Ray, they stay
  maestro sources --add arxiv.cs.AI=https://rss.arxiv.org/rss/cs.AI
  maestro start literature --goal "what you want to hear about"
  maestro watch"""


def _tell(told: Narrator, settings: Settings, world: tuple[Provider, DemoFeed], chapters: int) -> None:
    told.chapter("1. From nothing")
    up = installation.up(settings)
    told.says(
        f"Redis, Ray and the supervisor tree are up; Ray's dashboard: {up['dashboard_url']}", up["started"] is True
    )
    demo = Demo(told, settings, *world, Maestro(run_sync(bootstrap.install(settings))))
    try:
        if settings.pane == "serve":
            _invite(demo)
        for chapter in CHAPTERS[: chapters - 1]:
            chapter(demo)
    finally:
        demo.maestro.close()


def _invite(demo: Demo) -> None:
    onlooker = invited(demo.maestro.installation, demo.settings)
    demo.told.says("the researcher pane answers", onlooker.can_come())
    demo.told.adds(f"open {onlooker.link}")
    if onlooker.has_come():
        demo.told.says("somebody watches in the pane", True)
        demo.onlooker = onlooker
    else:
        demo.told.adds("nobody came within a minute; the story goes on")


def _fall_asleep(demo: Demo) -> None:
    demo.told.chapter("2. Three continuations go to sleep on a feed")
    for name, goal in announcements().goals.items():
        handle = demo.maestro.start(
            "literature", goal=goal, name=name, budget=Budget(usd=BUDGET), input={"subject": SUBJECT}
        )
        demo.monitors[name] = handle
    demo.told.sees("three monitors with different goals sleep, with nobody running them", lambda: _asleep(demo, 3))
    demo.told.says("no model was called for that", not demo.provider.fake.calls)


def _first_day(demo: Demo) -> None:
    demo.told.chapter(f"3. {demo.feed.day.date}: a day of {len(demo.feed.day.items)} papers is announced")
    record = SourceRecord(name="papers-demo", subject=SUBJECT, url=demo.feed.url, every_ms=1_000)
    run_sync(demo.maestro.installation.backend.sources.save(record))
    _day_is_read(demo, dict.fromkeys(demo.monitors, 0))
    children = {goal: len(demo.monitors[goal].status()["children"]) for goal in demo.monitors}  # type: ignore[arg-type]
    demo.told.says(
        f"`grounding` found {children['grounding']} papers and spawned 2 readers with a share of its money",
        children["grounding"] == 2,
    )
    demo.told.sees("everybody sleeps again, is done, or waits for a person", demo.settled)


def _approval(demo: Demo) -> None:
    demo.told.chapter("4. A reader wants to go beyond its share")
    asking = [row for row in demo.rows() if row["activity"] == "waiting_on_you"]
    demo.told.says(
        f"{len(asking)} monitor(s) wait for a person: {asking[0]['reason'] if asking else '-'}"[:150], bool(asking)
    )
    if demo.onlooker is not None:
        demo.told.adds("approve it in the pane: `3`, then `a` on the question")
        if demo.onlooker.has_done(demo.nobody_waits):
            demo.told.says("approved in the pane, by whoever watches", True)
        else:
            demo.told.adds("nobody did within a minute; it is approved from here")
    answered: set[str] = set()
    demo.told.sees(
        "approved: money was lent on, the readers read on, all sleep or are done", lambda: _answered(demo, answered)
    )
    done = [row for row in demo.rows() if row["behaviour"] == "reader"]
    demo.told.says(f"{len(done)} readers reported a finding each", len(demo.findings()) == len(done) > 0)


def _answered(demo: Demo, answered: set[str]) -> bool:
    """Nobody waits for a person; whoever did was approved, each question once."""
    for row in demo.rows():
        if row["activity"] == "waiting_on_you":
            handle = run_sync(demo.maestro.aget(str(row["id"])))
            approval = _approval_of(handle.status()["wait"])
            if approval not in answered:
                handle.approve(approval)
                answered.add(approval)
    return demo.nobody_waits()


def _kill_the_thinker(demo: Demo) -> None:
    before = {goal: demo.read(goal) for goal in demo.monitors}
    demo.feed.advance()
    demo.told.chapter(f"5. {demo.feed.day.date}: kill -9 of the actor that is thinking")
    demo.provider.thinking.clear()
    demo.provider.may_answer.clear()
    demo.told.says("the provider is being asked, and takes its time", demo.provider.thinking.wait(PATIENCE_S))
    thinker = next(row for row in demo.rows() if row["activity"] == "thinking")
    holder = str(demo.maestro.get(str(thinker["id"])).status()["actor"])
    pid = demo.pids()[holder.split("#")[0]]
    os.kill(pid, signal.SIGKILL)
    demo.told.says(
        f"{holder.split('#')[0]} (pid {pid}) is gone in the middle of tick {int(str(thinker['rev'])) + 1}",
        within(PATIENCE_S, lambda: not _lives(pid)),
    )
    handle = demo.maestro.get(str(thinker["id"]))

    def elsewhere() -> bool:
        now = str(handle.status()["actor"])
        return now not in ("None", holder)

    demo.told.sees("the same tick goes on in another process", elsewhere)
    demo.provider.may_answer.set()
    _day_is_read(demo, before)
    demo.told.sees("everybody sleeps, is done, or waits for a person", demo.settled)
    demo.told.says(
        f"calls repeated, by the provider's count: {demo.provider.fake.repeats}", demo.provider.fake.repeats == 0
    )
    twice = demo.provider.fake.billed_usd_micros - demo.spent_micros()
    demo.told.says(f"money spent twice, by the provider's bill: {format_usd(twice)}", twice == 0)


def _lose_all_of_ray(demo: Demo) -> None:
    demo.told.chapter("6. All of Ray is stopped by force")
    before = {row["id"]: row["rev"] for row in demo.rows()}
    demo.maestro.close()
    ended = cluster.kill(demo.settings)
    demo.told.says(f"{len(ended.orderly) + len(ended.forced)} processes were killed at once", bool(ended))
    demo.maestro = Maestro(run_sync(bootstrap.install(demo.settings)))
    demo.monitors = {name: ContinuationHandle(handle.id, demo.maestro) for name, handle in demo.monitors.items()}
    demo.told.says(
        "the sleepers are still there: bytes in Redis", {row["id"]: row["rev"] for row in demo.rows()} == before
    )
    seen = {goal: demo.read(goal) for goal in demo.monitors}
    demo.feed.advance()
    up = installation.up(demo.settings)
    demo.told.says("Ray is back", up["started"] is True)
    _day_is_read(demo, seen)
    demo.told.sees("everybody sleeps, is done, or waits for a person", demo.settled)


def _three_weeks(demo: Demo) -> None:
    demo.told.chapter("7. Three weeks pass on the store's clock")
    answered: set[str] = set()  # a question has a day's patience; what is open would be decided without a person
    demo.told.sees("a person has answered what was asked", lambda: _answered(demo, answered))
    clock = demo.maestro.installation.backend.clock
    before, seen = run_sync(clock.now_ms()), {goal: demo.read(goal) for goal in demo.monitors}
    budgets = {goal: handle.status()["budget"] for goal, handle in demo.monitors.items()}
    now = run_sync(demo.maestro.installation.backend.steering.advance(21 * 86_400_000))
    demo.told.says(
        f"{(now - before) // 86_400_000} days later nobody has ticked",
        seen == {goal: demo.read(goal) for goal in demo.monitors},
    )
    same = budgets == {goal: handle.status()["budget"] for goal, handle in demo.monitors.items()}
    demo.told.says("every budget is what it was, to the micro-dollar", same)
    demo.feed.advance()
    _day_is_read(demo, seen)
    demo.told.sees("and everybody sleeps again, is done, or waits for a person", demo.settled)


def _accounts(demo: Demo) -> None:
    demo.told.chapter("8. The accounts")
    fake = demo.provider.fake
    links = {str(link) for finding in demo.findings() for link in _list(finding["links"])}
    published = {paper.link for day in announcements().days for paper in day.items}
    demo.told.says(
        f"{len(demo.findings())} findings, each with the link of a paper of the feed",
        bool(links) and links <= published,
    )
    demo.told.says(
        f"the ledger says {format_usd(demo.spent_micros())} for {len(fake.billed)} calls, and so does the provider",
        demo.spent_micros() == fake.billed_usd_micros and fake.repeats == 0,
    )
    reasons = [row["reason"] for row in demo.rows()]
    demo.told.says(f"each of {len(reasons)} continuations can say why it is as it is", all(reasons))


def _day_is_read(demo: Demo, before: Mapping[str, int]) -> None:
    """Exactly those wake whose goal the day has something for, once for each paper."""
    expected = {goal: before[goal] + len(demo.papers(goal)) for goal in demo.monitors}
    interested = [goal for goal in demo.monitors if demo.papers(goal)]
    idle = [goal for goal in demo.monitors if goal not in interested]
    told = f"woken: {', '.join(f'{goal} ({len(demo.papers(goal))})' for goal in interested)}"
    told += f"; not woken: {', '.join(idle)}" if idle else ""
    demo.told.sees(told, lambda: {goal: demo.read(goal) for goal in demo.monitors} == expected)


def _asleep(demo: Demo, count: int) -> bool:
    rows = demo.rows()
    return len(rows) == count and all(row["activity"] == "sleeping" and row["rev"] == 1 for row in rows)


def _approval_of(wait: JsonValue) -> str:
    waits = wait["waits"] if isinstance(wait, dict) and wait["type"] == "any_of" else [wait]
    found = [w["approval_id"] for w in _list(waits) if isinstance(w, dict) and w["type"] == "approval_resolution"]
    return str(found[0])


CHAPTERS: tuple[Callable[[Demo], None], ...] = (
    _fall_asleep, _first_day, _approval, _kill_the_thinker, _lose_all_of_ray, _three_weeks, _accounts,
)  # fmt: skip
"""Those behind the first."""


def _below(node: Mapping[str, JsonValue], name: str) -> list[dict[str, JsonValue]]:
    """The children of the supervisor `name`."""
    children = [child for child in _list(node.get("children", [])) if isinstance(child, dict)]
    if node["id"] == name:
        return children
    return [found for child in children for found in _below(child, name)]


def _clear(settings: Settings) -> None:
    """No process and no file of an earlier demo."""
    cluster.kill(settings)
    server.stop(settings.home)
    server.purge(settings.home)


def _left(settings: Settings) -> bool:
    """True while anything of the demo runs: a process of its Ray, or its store."""
    return bool(cluster.processes(settings)) or server.running(settings.home) is not None


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
