"""docs/fault-table.md says what the providers' own logs say."""

from pathlib import Path

import pytest

from tests.contract.fault_table import report

TABLE = Path(__file__).parents[2] / "docs" / "fault-table.md"


@pytest.mark.shows("6.3")
@pytest.mark.spec("05.9")
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("models_loaded")
async def test_the_published_fault_table_is_what_the_providers_saw() -> None:
    """Write it anew: `make faults`."""
    assert (await report()).splitlines() == TABLE.read_text().splitlines()
