"""cluster.yaml by Ray's own schema and checks, and what it must not forget. That it carries a cluster: issue 9."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
import ray.autoscaler
import yaml  # type: ignore[import-untyped]  # nor does it
from ray.autoscaler._private.util import prepare_config, validate_config

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "cluster.yaml").read_text())
    return loaded


def test_cluster_yaml_is_valid_by_rays_schema(config: dict[str, Any]) -> None:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])


def test_a_misspelt_key_would_be_noticed(config: dict[str, Any]) -> None:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError, match="setup_comands"):
        jsonschema.validate({**config, "setup_comands": []}, schema)


def test_nodes_install_what_the_lock_holds_and_start_with_token_authentication(config: dict[str, Any]) -> None:
    installs = [command for command in config["setup_commands"] if "pip install" in command]
    assert ["--require-hashes -r" in command or "--no-deps" in command for command in installs] == [True, True]
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert all(command.startswith("RAY_AUTH_MODE=token ") for command in commands if "ray start" in command)
        assert any("ray start" in command for command in commands)
