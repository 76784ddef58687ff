"""Judged collections for measuring rankers: the papers and the Cranfield abstracts that lie beside the repository.

They are reached as ../shared, are no part of the product, and a test without them is skipped, except where CI=true.
"""

import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
JUDGEMENTS = ROOT / "tests" / "data" / "relevance.json"


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    body: str


def require(folder: str) -> Path:
    """The folder of that collection, or a skip with its reason; under CI a failure."""
    path = SHARED / folder
    if not path.is_dir():
        reason = f"{path} is not there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def arxiv_papers() -> dict[str, Document]:
    """Number with version -> paper, over all announcement days."""
    papers: dict[str, Document] = {}
    for day in sorted(require("arxiv-daily").glob("*.jsonl")):
        for line in day.read_text(encoding="utf-8").splitlines():
            paper = json.loads(mended(line))
            papers[paper["pdf_link"].rsplit("/", 1)[-1]] = Document(paper["title"], paper["abstract"])
    return papers


def mended(line: str) -> str:
    r"""`line` as JSON: one abstract of 2024-07-27 has a stray "\ " where a TeX command lost its first letter."""
    return re.sub(r"(?<!\\)\\ ", r"\\\\ ", line)


def cranfield() -> tuple[dict[int, Document], dict[int, str], dict[int, dict[int, int]]]:
    """Documents, queries, and for each query the gain of what was judged, 4 (complete answer) to 1."""
    folder = require("cranfield")
    read = {name: json.loads((folder / f"cran_{name}.json").read_text()) for name in ("docs", "queries", "qrels")}
    documents = {int(row["id"]): Document(row["title"], row["body"]) for row in read["docs"]}
    queries = {at: row["query"] for at, row in enumerate(read["queries"], 1)}
    gains: dict[int, dict[int, int]] = defaultdict(dict)
    for row in read["qrels"]:
        if 1 <= row["position"] <= 4:
            gains[int(row["query_num"])][int(row["id"])] = 5 - row["position"]
    return documents, queries, gains


def ndcg(ranked: Sequence[int], gains: Mapping[int, int], depth: int = 10) -> float:
    """How near the first `depth` of `ranked` come to the best order, 0 to 1."""
    found = [gains.get(name, 0) for name in ranked[:depth]]
    return _discounted(found) / _discounted(sorted(gains.values(), reverse=True)[:depth])


def recall(ranked: Sequence[int], gains: Mapping[int, int], depth: int = 100) -> float:
    """The share of what was judged that stands among the first `depth` of `ranked`."""
    return len(gains.keys() & set(ranked[:depth])) / len(gains)


def _discounted(gains: Sequence[int]) -> float:
    return sum((2.0**gain - 1) / math.log2(place + 2) for place, gain in enumerate(gains))
