"""What the gateway takes for a full feed is what the store lets a feed grow to."""

import re
from pathlib import Path

import maestro.adapters.redis
from maestro.gateway.beginnings import KEPT

SCRIPTS = Path(maestro.adapters.redis.__file__).parent / "scripts"


def test_a_feed_counts_as_full_when_it_has_as_many_facts_as_the_scripts_keep() -> None:
    scripts = "".join(script.read_text() for script in sorted(SCRIPTS.glob("*.lua")))
    trims = re.findall(r"\.\. 'feed', 'MAXLEN', '~', '(\d+)'", scripts)
    assert {int(kept) for kept in trims} == {KEPT}
    assert len(trims) == len(re.findall(r"'XADD', P \.\. 'feed'", scripts)), "every script trims"
