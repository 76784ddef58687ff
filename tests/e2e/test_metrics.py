"""What Ray's metrics endpoint tells of an installation is what its store and its tree say."""

import re
import urllib.request
from pathlib import Path

import pytest

from actors.gauges import STORE
from tests.e2e.support import ROOT_FOLDER, Site, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

PORTS = """
import json
import ray
from actors import cluster
from maestro.settings import Settings
cluster.connect(Settings.load())
print(json.dumps([node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]]))
"""
_SERIES = re.compile(r"^ray_(?P<name>maestro_\w+)\{(?P<labels>[^}]*)\} (?P<value>[-+.0-9e]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
OWN_LABELS = ("pool", "state", "supervisor")


def scraped(ports: list[int]) -> dict[str, float]:
    """`name{label=value}` with our own labels -> the sum over processes."""
    found: dict[str, float] = {}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            for series in _SERIES.finditer(answer.read().decode()):
                labels = dict(_LABEL.findall(series["labels"]))
                own = ",".join(f"{name}={labels[name]}" for name in OWN_LABELS if name in labels)
                key = f"{series['name']}{{{own}}}"
                found[key] = found.get(key, 0.0) + float(series["value"])
    return found


@pytest.mark.spec("02.7")
def test_the_endpoint_tells_what_the_store_and_the_tree_say(shared_site: Site) -> None:
    here = shared_site
    handle = here.start("counter", "--goal", "be measured", name="measured")
    handle.send({"timer": here.now_ms() + 1_000})
    eventually(lambda: here.glance(handle).rev, lambda rev: rev == 2)
    here.advance(1_500)
    eventually(lambda: here.state("measured")["timers"], lambda timers: timers == 1)
    eventually(here.is_quiet, bool)
    ports = here.python(PORTS)
    counts = here.counts()

    def told(seen: dict[str, float]) -> bool:
        """The latest figures have arrived: Ray gathers them every 10 s."""
        return seen.get("maestro_commits_total{}") == counts["committed"] and "maestro_asleep{}" in seen

    seen = eventually(lambda: scraped(ports), told, every_s=1.0)
    assert seen["maestro_awake{}"] == counts["awake"] == 0
    assert seen["maestro_asleep{}"] == counts["status:pending"] + counts.get("status:resuming", 0)
    assert seen["maestro_adoptions_total{}"] == counts["adopted"]
    assert seen["maestro_fenced_total{}"] == counts.get("fenced", 0)
    assert seen["maestro_ready{pool=default}"] == counts["ready:default"] == 0
    assert seen["maestro_pool_actors{pool=default,state=running}"] == len(here.actors("pool/default/"))
    assert seen["maestro_restarts{supervisor=system}"] == 0
    assert seen["maestro_tick_seconds_count{pool=default}"] >= 3
    assert seen["maestro_timer_lateness_seconds_count{}"] >= 1


def test_every_metric_that_is_exported_stands_in_the_document_and_the_reverse() -> None:
    source = Path(ROOT_FOLDER / "actors" / "gauges.py").read_text()
    exported = set(re.findall(r'"(maestro_\w+)"', source)) | {metric for metric, _ in STORE.values()}
    written = set(re.findall(r"^\| `(maestro_\w+)`", (ROOT_FOLDER / "docs" / "metrics.md").read_text(), re.MULTILINE))
    assert exported == written
