"""A Ray of a test's own, without an installation: two cores, one raylet, in a folder of the test's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from actors.names import NAMESPACE

ROOT_FOLDER = Path(__file__).parents[2]


@contextmanager
def own_ray(folder: Path, **environment: str) -> Iterator[None]:
    """This process drives it; its workers find this tree and that environment. Nothing of it outlives the block."""
    ray.init(
        address="local",
        _temp_dir=str(folder / "ray"),
        num_cpus=2,
        include_dashboard=False,
        namespace=NAMESPACE,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT_FOLDER), **environment}},
    )
    try:
        yield
    finally:
        ray.shutdown()
