"""What a Redis user of ours may do is what our scripts and our adapter do: no command less, and none more."""

import re
from pathlib import Path

from maestro.adapters.redis.rights import CARRIES, LOOKS, NEEDED, READS, WRITES

ADAPTER = Path(__file__).parents[2] / "maestro" / "adapters" / "redis"
CALLED = re.compile(r"\b(?:call|keep)\(\s*'([A-Z]+)'")
PASSED = re.compile(r"put\(\s*'([A-Z]+)'|'(RPUSH|ZADD)'")
SENT = re.compile(r"(?:execute|_execute|ask|execute_command|pack_command)\(\(?\s*\"([A-Z]+)\"")
TYPED = {
    "acl_cat": "acl|cat",
    "acl_getuser": "acl|getuser",
    "acl_whoami": "acl|whoami",
    "blpop": "blpop",
    "config_get": "config|get",
    "delete": "del",
    "info": "info",
    "set": "set",
    "time": "time",
}
"""What redis-py's own methods send, where we use them."""
SUB = {"script": "script|load", "cluster": "cluster|slots"}
BY_ITSELF = {"select", "ping"}
"""What redis-py sends without being asked: a database in the URL, and the question whether a server lives."""


def used() -> set[str]:
    found: set[str] = set()
    for script in (ADAPTER / "scripts").glob("*.lua"):
        text = script.read_text()
        found |= {name.lower() for name in CALLED.findall(text)}
        found |= {name.lower() for couple in PASSED.findall(text) for name in couple if name}
    for module in ADAPTER.glob("*.py"):
        text = module.read_text()
        found |= {SUB.get(name.lower(), name.lower()) for name in SENT.findall(text)}
        found |= {"wait", "set"} if '"WAIT"' in text else set()
        found |= {sent for name, sent in TYPED.items() if re.search(rf"(client|_blocking)\.{name}\(", text)}
    return found


def test_each_command_that_is_used_is_allowed_and_no_other() -> None:
    assert sorted(used() | BY_ITSELF) == sorted(NEEDED)


def test_what_writes_and_what_reads_are_told_apart_and_nothing_stands_twice() -> None:
    assert len({*READS, *WRITES, *CARRIES, *LOOKS}) == len(NEEDED)


def test_nothing_that_empties_configures_or_runs_a_text_is_among_them() -> None:
    names = {name.partition("|")[0] for name in NEEDED}
    dangers = {"flushall", "flushdb", "keys", "eval", "debug", "shutdown", "restore", "migrate", "swapdb", "monitor"}
    assert names.isdisjoint(dangers)
    assert {name for name in NEEDED if name.startswith("config")} == {"config|get"}
    assert {name for name in NEEDED if name.startswith("acl")} == {"acl|whoami", "acl|getuser", "acl|cat"}
