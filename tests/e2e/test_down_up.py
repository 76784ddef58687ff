"""Ray is disposable: sleepers outlive an orderly stop, the death of every process of Ray, and the store's own death."""

from collections.abc import Iterator

import pytest

from tests.e2e.support import Site, at_rest, eventually, site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

THREE_WEEKS_MS = 21 * 86_400_000


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    """Three sleepers: on a subject, on a timer in three weeks, on a person's word."""
    with site() as made:
        print(f"\nup: {made.up():.1f} s")
        made.start("counter", "--goal", "hear news", "--input", '{"subscribe": "demo.news"}', name="listener")
        made.start("counter", "--goal", "wait three weeks", name="patient")
        made.start("counter", "--goal", "ask first", name="shy")
        made.client.get("patient").send({"timer": made.now_ms() + THREE_WEEKS_MS})
        made.client.get("shy").send({"ask": "may I"})
        eventually(lambda: (made.counts()["waiting"], made.counts()["timers"]), lambda seen: seen == (1, 2))
        eventually(lambda: [glance.rev > 0 and not glance.holder for glance in made.glances()], all)
        yield made
        if made.processes():
            made.down()
        assert made.traces() == []


def hears(here: Site, number: int) -> None:
    """News reach the listener, as its number `number`."""
    here.tell("publish", "demo.news", f'{{"number": {number}}}')
    eventually(lambda: here.state("listener")["events"], lambda events: events == number)


def test_sleepers_are_there_after_down_and_up(here: Site) -> None:
    before = at_rest(here.tell("list"))
    assert {row[2] for row in before.values()} == {"sleeping", "waiting_on_you"}
    print(f"\ndown: {here.down():.1f} s")
    assert here.traces() == []
    print(f"up again: {here.up():.1f} s")
    assert at_rest(here.tell("list")) == before
    hears(here, 1)


@pytest.mark.spec("01.4")
def test_after_kill_9_of_every_process_of_ray_they_go_on(here: Site) -> None:
    before = at_rest(here.tell("list"))
    assert here.kill_ray() > 10
    assert at_rest(here.tell("list")) == before
    here.tell("publish", "demo.news", '{"number": 2}')  # while nobody runs
    print(f"\nup after kill -9: {here.up():.1f} s")
    eventually(lambda: here.state("listener")["events"], lambda events: events == 2)
    hears(here, 3)


def test_an_answer_and_a_timer_reach_whom_they_are_for(here: Site) -> None:
    (asked,) = here.tell("waits")
    here.tell("approve", "--name", "shy", asked["asked"][0]["approval_id"])
    eventually(lambda: here.state("shy")["decisions"], lambda said: said == ["approved"])
    assert here.state("patient")["timers"] == 0
    here.tell("clock", "advance", "21d")
    eventually(lambda: here.state("patient")["timers"], lambda timers: timers == 1)


def test_the_store_itself_survives_kill_9_beneath_the_running_tree(here: Site) -> None:
    before = at_rest(here.tell("list"))
    here.kill_redis()
    here.up()
    assert at_rest(here.tell("list")) == before
    hears(here, 4)
    here.run("verify")
