"""cluster.yaml and its variants by Ray's own schema and checks, and what none of them may forget.

Not here: that cluster.yaml carries a cluster, which no test shows yet.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
import ray.autoscaler
import yaml  # type: ignore[import-untyped]  # nor does it
from ray.autoscaler._private.util import prepare_config, validate_config

REPOSITORY = Path(__file__).parents[2]
CLOUDS = REPOSITORY / "examples" / "clusters"
FILES = [REPOSITORY / "cluster.yaml", *(CLOUDS / f"{cloud}.yaml" for cloud in ("aws", "gcp", "azure"))]
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(file.read_text())
    return loaded


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    return loaded


@each_file
def test_it_is_valid_by_rays_schema_and_checks(file: Path) -> None:
    jsonschema.validate(read(file), schema())
    validate_config(prepare_config(read(file)))


def test_on_the_premises_every_named_machine_is_wanted() -> None:
    prepared = prepare_config(read(FILES[0]))
    assert prepared["max_workers"] == len(prepared["provider"]["worker_ips"])


@each_file
def test_a_misspelt_key_would_be_noticed(file: Path) -> None:
    with pytest.raises(jsonschema.ValidationError, match="setup_comands"):
        jsonschema.validate({**read(file), "setup_comands": []}, schema())


@each_file
def test_nodes_install_what_the_lock_holds_and_get_the_token_and_the_key(file: Path) -> None:
    config = read(file)
    installs = [command for command in config["setup_commands"] if "pip install" in command]
    assert ["--require-hashes -r" in command or "--no-deps --no-index" in command for command in installs] == [True] * 2
    assert {Path(mount).name for mount in config["file_mounts"]} >= {"auth_token", "mac.key", "requirements.lock"}


@each_file
def test_what_starts_and_stops_a_node_is_ours_alone(file: Path) -> None:
    """After the last setup command `ray stop` spares other people's Ray, and `ray start` asks for the token."""
    config = read(file)
    assert config["setup_commands"][-1] == "~/maestro-env/bin/python -m actors.premises enrol"
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert [command.split(" -")[0] for command in commands] == ["ray start"]  # it ends its own node first


@pytest.mark.parametrize("file", FILES[1:], ids=lambda file: file.stem)
def test_in_a_cloud_nothing_is_public_and_gpus_are_started_when_they_are_wanted(file: Path) -> None:
    config = read(file)
    assert config["provider"]["use_internal_ips"] is True
    kinds = config["available_node_types"]
    assert (kinds["head"]["resources"], kinds["gpu"]["min_workers"]) == ({"CPU": 0}, 0)
    assert kinds["cpu"]["min_workers"] < kinds["cpu"]["max_workers"]
    assert config["max_workers"] >= sum(kind.get("max_workers", 0) for kind in kinds.values())


class TestKubernetes:
    """By structure: the operator's own schema is no part of this repository; it was asked when the file was made."""

    @pytest.fixture
    def manifests(self) -> dict[str, dict[str, Any]]:
        told = list(yaml.safe_load_all((CLOUDS / "kuberay.yaml").read_text()))
        return {manifest["kind"]: manifest for manifest in told}

    def test_there_are_a_store_a_cluster_and_a_wall_around_both(self, manifests: dict[str, dict[str, Any]]) -> None:
        assert set(manifests) == {"Service", "StatefulSet", "NetworkPolicy", "RayCluster"}
        store, wall = manifests["StatefulSet"]["spec"]["template"], manifests["NetworkPolicy"]["spec"]
        walled = wall["podSelector"]["matchExpressions"][0]["values"]
        heads = manifests["RayCluster"]["spec"]["headGroupSpec"]["template"]
        assert {store["metadata"]["labels"]["app"], heads["metadata"]["labels"]["app"]} == set(walled)
        assert wall["policyTypes"] == ["Ingress"]

    def test_the_store_keeps_what_it_acknowledged(self, manifests: dict[str, dict[str, Any]]) -> None:
        (store,) = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"]
        said = " ".join(store["args"])
        for wanted in ("--appendonly yes", "--appendfsync always", "--aof-load-truncated no", "noeviction"):
            assert wanted in said
        (claim,) = manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]
        assert {"name": claim["metadata"]["name"], "mountPath": "/data"} in store["volumeMounts"]

    def test_every_node_has_the_token_and_a_key_of_its_own_users(self, manifests: dict[str, dict[str, Any]]) -> None:
        cluster = manifests["RayCluster"]["spec"]
        assert cluster["authOptions"] == {"mode": "token", "secretName": "maestro-secrets"}
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        assert [group.get("groupName", "head") for group in groups] == ["head", "cpu", "gpu"]
        for group in groups:
            pod = group["template"]["spec"]
            assert "install -m 600" in pod["initContainers"][0]["command"][2]
            told = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
            assert told["MAESTRO_MAC_KEY_FILE"].startswith(pod["containers"][0]["volumeMounts"][0]["mountPath"])
        assert (groups[2]["minReplicas"], groups[0]["rayStartParams"]["num-cpus"]) == (0, "0")
