"""docs/how-to/size-pools.md says what is true: its settings are settings, its examples print what they say."""

import re
from pathlib import Path

import pytest

from maestro.runtime.pooling import Pool
from maestro.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "size-pools.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_settings_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (written,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "maestro.toml").write_text(written)
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(home=tmp_path / "home")
    assert settings.max_resident == 12
    pools = settings.all_pools
    assert (pools["default"].min, pools["default"].most, pools["swarm"].slots) == (2, 8, 64)
    assert pools["gpu"].resources.labels == {"accelerator": "l4"}
    assert sum(pool.min for pool in pools.values()) < settings.max_resident


def test_its_table_has_each_setting_of_a_pool_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert rows.keys() == Pool.model_fields.keys()
    told = {name: int(text) for name, text in rows.items() if text.isdigit()}
    assert told == {name: getattr(Pool(), name) for name in told}
    assert (rows["max"], Pool(min=3).most) == ("as `min`", 3)


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_examples_print_what_they_say(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "docs/how-to/size-pools.md", "exec"), {})  # noqa: S102 - our own page
    said = [text.partition(":")[0] for text in re.findall(r"^print.*?  # (.*)$", example, re.MULTILINE)]
    assert capsys.readouterr().out.splitlines() == said
    assert said
