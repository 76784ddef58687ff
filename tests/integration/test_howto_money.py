"""docs/how-to/follow-the-money.md says what is true: its commands are run in the order in which they stand."""

import re
import shlex
from pathlib import Path

import pytest

from tests.integration.cli.asking import PAPER, Ask, asleep, until
from tests.integration.test_cli_money import maestro, town
from tests.integration.test_readme import alike, dialogue

__all__ = ["maestro", "town"]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "follow-the-money.md"
_BLOCK = re.compile(r"<!-- tested: (\w+) -->\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SUMMED_BY = ("behaviour", "tier", "step", "provider", "model", "day", "domain", "status", "continuation")


@pytest.mark.timeout(240)
def test_its_commands_print_what_it_shows(maestro: Ask) -> None:
    told = [(how, dialogue(block)) for how, block in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    assert [how for how, _ in told] == ["console", "console", "papers"]
    for how, steps in told:
        if how == "papers":  # what the page begins with reads one, and a child of it another time
            until(maestro, "monday", asleep)
            maestro("publish", "arxiv.cs.AI", PAPER, "--key", "followed")
            until(maestro, "monday", lambda told: told["rev"] >= 3 and asleep(told))
        for command, printed in steps:
            answer = maestro(*shlex.split(command)[1:])
            assert (answer.status, alike(answer.out + answer.err)) == (0, alike(printed)), command
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for key in SUMMED_BY:
        assert key in page.partition("What can be summed by:")[2][:200]
        assert maestro("costs", "--by", key, "-o", "json").status == 0
