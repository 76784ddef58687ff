"""The page on adding a tool is run as it stands."""

import re
from pathlib import Path
from typing import Any

from maestro.tools.spec import SideEffect, Spec

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "add-a-tool.md").read_text()


def test_the_example_does_what_it_says() -> None:
    module: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/how-to/add-a-tool.md", "exec"), module)  # noqa: S102 - our own page
    tests = [name for name in module if name.startswith("test_")]
    assert tests == [
        "test_an_order_waits_for_a_person_and_happens_once",
        "test_a_model_asks_for_tools_and_a_person_is_asked_before_it_orders",
        "test_what_is_new_arrives_once_and_in_order",
    ]
    for name in tests:
        module[name]()


def test_every_field_that_a_tool_may_declare_is_in_the_table() -> None:
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))))
    assert told == set(Spec.__slots__) - {"name", "description", "parameters"}
    assert all(f"`{each}`" in PAGE for each in SideEffect)
