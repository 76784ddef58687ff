"""What was approved of MCP servers lies in the store: whole, one per server, and the same for every process."""

import asyncio
from pathlib import Path

import orjson
import pytest

from maestro.adapters.mcp.shelf import PINS, Pin, ServerShelf
from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.runtime.backend import Backend
from maestro.tools.servers import Offer, Offers, list_digest


def offers(*names: str, told: str = "as it is") -> Offers:
    return {name: Offer(name=name, description=told, parameters={"type": "object"}) for name in names}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mcp.toml"
    file.write_text('[shop]\ncommand = "shop"\n[till]\ncommand = "till"\n')
    return file


async def known(shelf: ServerShelf) -> list[str]:
    """The tools, as a process knows them after its next look."""
    await shelf.refresh()
    return sorted(shelf.tools)


async def test_what_one_process_has_approved_another_has_and_by_whom(backend: Backend, file: Path) -> None:
    one, other = (ServerShelf(file, backend.register) for _ in range(2))
    assert await known(other) == []
    await one.approve("shop", offers("price", "order"), by="ann@here", at_ms=TimeMs(7))
    assert await known(other) == ["shop.order", "shop.price"]
    pin = other.pin("shop")
    assert pin is not None
    assert (pin.by, pin.at_ms, pin.digest) == ("ann@here", 7, list_digest(offers("price", "order").values()))
    await other.approve("shop", offers("price"))
    assert await known(one) == ["shop.price"], "an approval is of a whole list: what is not in it is off"


async def test_two_that_approve_at_once_undo_nothing_of_each_other(backend: Backend, file: Path) -> None:
    shelves = [ServerShelf(file, backend.register) for _ in range(2)]
    await asyncio.gather(shelves[0].approve("shop", offers("price")), shelves[1].approve("till", offers("open")))
    assert [await known(shelf) for shelf in shelves] == [["shop.price", "till.open"]] * 2
    lists = [offers("price", told="a"), offers("order", told="b")]
    await asyncio.gather(*(shelf.approve("shop", each) for shelf, each in zip(shelves, lists, strict=True)))
    assert await known(shelves[0]) == await known(shelves[1])
    assert shelves[0].approved("shop") in lists, "one of the two lists, whole"


async def test_a_file_of_an_earlier_release_is_taken_in_once_and_never_over_what_the_store_has(
    backend: Backend, file: Path
) -> None:
    before, shelf = file.with_suffix(".pins.json"), ServerShelf(file, backend.register)
    await shelf.approve("till", offers("open"))
    old = {"shop": offers("price"), "till": offers("rob")}
    told = {name: {"digest": list_digest(each.values()), "offers": each} for name, each in old.items()}
    before.write_bytes(orjson.dumps(told, default=lambda offer: offer.model_dump(mode="json")))
    assert await known(shelf) == ["shop.price", "till.open"]
    assert [path.name for path in file.parent.glob("*pins*")] == ["mcp.pins.json.moved"]
    await shelf.approve("shop", offers("order"))
    assert await known(ServerShelf(file, backend.register)) == ["shop.order", "till.open"]


async def test_an_approval_that_is_not_whole_is_none_and_harms_no_other(backend: Backend, file: Path) -> None:
    shelf = ServerShelf(file, backend.register)
    await shelf.approve("shop", offers("price"))
    await shelf.approve("till", offers("open"))
    note = await backend.register.get(PINS, "shop")
    assert note is not None
    for damaged in (note.replace(b"as it is", b"as it never was"), note[:-7], b"", b"[]"):
        await backend.register.put(PINS, "shop", damaged)
        assert await known(shelf) == ["till.open"]
        assert list(shelf.spoiled) == ["shop"]
    await shelf.approve("shop", offers("price"))
    assert (await known(shelf), shelf.spoiled) == (["shop.price", "till.open"], {})


async def test_a_file_of_pins_that_is_no_such_file_is_told_and_left_where_it_is(backend: Backend, file: Path) -> None:
    before, shelf = file.with_suffix(".pins.json"), ServerShelf(file, backend.register)
    pin = Pin(digest=list_digest(offers("price").values()), offers=offers("price")).model_dump(mode="json")
    before.write_bytes(orjson.dumps({"shop": {**pin, "digest": "0" * 64}}))
    assert await known(shelf) == []
    assert "mcp.pins.json" in str(shelf.trouble)
    assert before.exists()


async def test_nothing_is_approved_without_a_store_or_of_a_server_that_is_none(backend: Backend, file: Path) -> None:
    with pytest.raises(InvalidInput, match="no store to approve it in"):
        await ServerShelf(file).approve("shop", offers("price"))
    with pytest.raises(InvalidInput, match="no MCP server 'nobody'"):
        await ServerShelf(file, backend.register).approve("nobody", offers("price"))
