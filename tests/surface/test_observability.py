"""Alerts, runbooks and the dashboard speak of metrics that exist; each alert has its page, each page its alert."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # nor does it

from maestro.cli.app import VERBS

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"ray_(maestro_\w+?)(?:_bucket|_sum|_count)?(?=[\[{)\s]|$)")
BY = re.compile(r"\bby \(([^)]*)\)")
SAID = re.compile(r"`maestro ([a-z-]+)")


def metrics() -> dict[str, set[str]]:
    """Name -> labels, as docs/metrics.md has them."""
    rows = [line.split("|")[1:] for line in (DOCS / "metrics.md").read_text().splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): set(cells[2].replace(",", " ").split()) for cells in rows}


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DOCS / "observability" / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def expressions() -> Iterator[tuple[str, str]]:
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in json.loads((DOCS / "observability" / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_names_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    known, named = metrics(), NAME.findall(expression)
    assert named, where
    assert set(named) <= set(known)
    labels = {label.strip() for group in BY.findall(expression) for label in group.split(",")} - {"le"}
    assert all(labels <= known[name] for name in named)


def test_the_page_of_metrics_has_those_of_the_code_and_no_other() -> None:
    code = (DOCS.parent / "actors" / "gauges.py").read_text()
    assert sorted(metrics()) == sorted(set(re.findall(r'"(maestro_\w+)"', code)))


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for where, expression in expressions() for name in NAME.findall(expression) if where[:7] != "Maestro"}
    assert sorted(set(metrics()) - shown) == []


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    pages = {page.stem for page in (DOCS / "runbooks").glob("*.md")}
    assert {alert["alert"] for alert in alerts()} == pages
    for alert in alerts():
        page = (DOCS / "runbooks" / f"{alert['alert']}.md").read_text()
        assert alert["annotations"]["runbook"] == f"docs/runbooks/{alert['alert']}.md"
        assert f"`{alert['expr']}`" in page, "the page shows what it is about"
        assert alert["annotations"]["summary"] in page
        assert set(SAID.findall(page)) <= set(VERBS), "the page says commands that there are"
