"""The audit log and the ACL file by the command line, against a real embedded Redis."""

import getpass
import stat
from pathlib import Path
from typing import Any

from tests.integration.cli.asking import Ask, counter
from tests.integration.cli_support import Town


def lines(maestro: Ask) -> list[Any]:
    return list(maestro("audit", "-o", "json").json)


def test_what_is_steered_is_on_record_and_what_is_only_looked_at_is_not(maestro: Ask):
    cid = counter(maestro)
    before = len(lines(maestro))
    maestro("show", cid)
    maestro("list")
    maestro("freeze", cid, "--reason", "looks odd")
    maestro("rebudget", cid, "usd=+0.50")
    maestro("sources", "--add", "a.b=https://example.org/rss")
    maestro("clock", "advance", "1s")
    found = lines(maestro)[before:]
    assert [(one["verb"], one["on"]) for one in found] == [
        ("freeze", cid), ("rebudget", cid), ("add source", "a.b=https://example.org/rss"), ("advance clock", ""),
    ]  # fmt: skip
    assert found[0]["told"] == {"reason": "looks odd"}
    assert {(one["door"], one["who"].partition("@")[0]) for one in found} == {("cli", getpass.getuser())}
    assert "rebudget" in maestro("audit").out


def test_verify_says_that_every_link_holds_and_later_names_the_one_that_does_not(maestro: Ask, town: Town):
    counter(maestro)
    whole = maestro("audit", "verify", "-o", "json").json
    assert whole["ok"]
    assert whole["records"] >= 2
    wire: Any = town.at.backend.store._keys.wire  # type: ignore[attr-defined]  # as somebody with Redis' password
    place = f"{town.at.backend.store._keys.partition(0)}:audit"  # type: ignore[attr-defined]
    kept = town.do(wire.execute("LRANGE", place, 0, -1))

    def broken() -> str:
        answer = maestro("audit", "verify")
        assert answer.status == 1
        return answer.err

    town.do(wire.execute("LSET", place, 1, kept[1].replace(b'"verb":"start"', b'"verb":"stars"')))
    assert "the audit log breaks: record 2 was changed" in broken()
    town.do(wire.execute("LSET", place, 1, kept[1]))
    town.do(wire.execute("LTRIM", place, 0, -2))
    assert f"record {len(kept)} is gone: {len(kept)} were seen here" in broken()
    town.do(wire.execute("RPUSH", place, kept[-1]))
    assert maestro("audit", "verify", "-o", "json").json["records"] == len(kept)


def test_the_acl_file_has_digests_only_and_its_passwords_are_this_users_alone(maestro: Ask):
    told = maestro("acl", "-o", "json").json
    assert told["user"] == "maestro-default"
    files = {user: Path(file) for user, file in told["password_files"].items()}
    assert set(files) == {"maestro-default", "maestro-admin", "maestro-replica"}
    for file in files.values():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() not in "\n".join(told["lines"])
    assert maestro("acl").out.startswith("user default off")
    assert maestro("acl", "-o", "json").json["lines"] == told["lines"], "the same until they are rotated"
    rotated = maestro("acl", "--rotate", "-o", "json").json["lines"]
    assert len(set(rotated) & set(told["lines"])) == 1, "default is off, as before"
