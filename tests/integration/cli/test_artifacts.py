"""Artifacts by the command line: listed, looked at, and written to a file that only the caller names."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.integration.cli.asking import Ask, until
from tests.integration.cli.bookshop import catalogue
from tests.integration.cli_support import Town

BOOKSHOP = "tests.integration.cli.bookshop"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    home = Path(tempfile.mkdtemp(prefix="mcli-", dir="/tmp"))
    try:
        with Town(home / "h", BOOKSHOP) as town:
            yield town
    finally:
        shutil.rmtree(home)


@pytest.fixture
def shop(maestro: Ask, monkeypatch: pytest.MonkeyPatch) -> str:
    """One whose tool has returned its catalogue."""
    monkeypatch.setenv("MAESTRO_BEHAVIOURS", BOOKSHOP)
    cid = str(maestro("start", "bookshop", "--goal", "books", "-o", "json").json["id"])
    until(maestro, cid, lambda told: told["status"] == "completed")
    return cid


def test_they_are_listed_looked_at_and_written(maestro: Ask, shop: str, tmp_path: Path):
    whole = str(catalogue.function())
    first, second = maestro("artifacts", shop, "-o", "json").json
    assert first["id"] == second["id"], "the same content has one name"
    assert (first["tool"], first["size_bytes"], first["media_type"]) == ("catalogue", len(whole), "text/plain")

    told = maestro("artifacts", shop, first["id"][:8])
    assert "book 999" in told.out
    assert "\x1b" not in told.out, "what a tool said steers no terminal"

    written = maestro("artifacts", shop, first["id"], "--to", str(tmp_path), "-o", "json").json
    assert Path(written["file"]).read_text() == whole
    assert Path(written["file"]).parent == tmp_path
    again = maestro("artifacts", shop, first["id"], "--to", str(tmp_path))
    assert (again.status, "File exists" in again.err) == (2, True)
    assert maestro("artifacts", shop, "ffffffff").status == 3


def test_status_tells_how_much_of_the_room_is_used(maestro: Ask, shop: str):
    kept = orjson.loads(maestro("artifacts", shop, "-o", "json").out)
    told = maestro("status", "-o", "json")
    by_id = {each["id"]: each["size_bytes"] for each in kept}
    assert orjson.loads(told.out)["artifacts"] == {
        "bytes": sum(by_id.values()), "artifacts": len(by_id), "limit_bytes": 4096 << 20,
    }  # fmt: skip
    assert f"artifacts      {len(by_id)} kept, " in maestro("status").out


def test_the_hit_rate_of_the_cache_is_told(maestro: Ask, shop: str):
    told = maestro("status", "-o", "json")
    figures = orjson.loads(told.out)["tool_cache"]
    assert figures["misses"] == 1
    assert figures["hits"] >= 1
    assert figures["rate"] == pytest.approx(figures["hits"] / (figures["hits"] + 1), abs=1e-3)
