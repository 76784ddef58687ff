"""An actor that is stopped beyond its lease and goes on later: it commits nothing, and the attempt is counted."""

import json
import signal

import pytest

from tests.e2e.support import Site, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.mark.shows("4.4")
def test_a_stale_actor_commits_nothing_and_its_attempt_is_counted(shared_site: Site) -> None:
    here = shared_site
    handle = here.start("counter", "--goal", "outlive its actor", name="stale")
    eventually(lambda: here.glance(handle).rev, lambda rev: rev == 1)
    pool = here.actors("pool/default/")
    fenced = here.counts().get("fenced", 0)

    handle.send({"sleep_ms": 3_000})
    holder = eventually(lambda: here.glance(handle).holder, bool, every_s=0.01)
    assert holder is not None
    epoch, frozen = here.glance(handle).epoch, pool[holder.partition("#")[0]]
    frozen.send_signal(signal.SIGSTOP)
    try:
        done = eventually(lambda: here.glance(handle), lambda seen: seen.rev == 2)
        assert done.last_holder is not None
        assert done.last_holder.partition("~")[0] != holder
        assert done.epoch > epoch
    finally:
        frozen.send_signal(signal.SIGCONT)

    eventually(lambda: here.counts().get("fenced", 0), lambda now: now > fenced)
    after = here.glance(handle)
    assert (after.rev, after.epoch, after.checkpoint) == (done.rev, done.epoch, done.checkpoint)
    assert [record["rev"] for record in handle.log()] == [1, 2]
    assert here.state("stale")["n"] == 1
    here.run("verify", handle.id)
    log = here.settings.home / "logs" / f"{holder.partition('#')[0].replace('/', '-')}.jsonl"
    told = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "fenced"]
    assert [line["epoch"] for line in told if line["continuation"] == handle.id] == [epoch]


def test_the_stale_actor_is_good_for_further_work(shared_site: Site) -> None:
    here = shared_site
    handle = here.client.get("stale")
    for number in range(2, 12):
        handle.send({"number": number})
        eventually(lambda: here.state("stale")["n"], lambda n: n == number)  # noqa: B023 - called before the next one
    assert len(here.actors("pool/default/")) == here.settings.pool_size
