"""The documents: the reference says what the code says, every link leads somewhere, and the index leads to every page.

`make docs` builds them with Sphinx, which checks the same links once more; this needs nothing but the pages.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.settings import PREFIX, Settings
from tests.reference.pages import FOLDER, PAGES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<place>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#{1,6} (?P<text>.+?)\s*$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LISTED = re.compile(r"```\{toctree\}\n(?P<body>.*?)```", re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    told = (FOLDER / name).read_text() if (FOLDER / name).exists() else ""
    assert told == PAGES[name](), f"docs/reference/{name} is old: `make reference`, or python -m tests.reference"


@pytest.mark.spec("11.2")
def test_every_setting_stands_in_the_table_with_its_variable_once() -> None:
    stand = re.findall(r"^\| `(MAESTRO_\w+)` \| `[^`]+` \|", (FOLDER / "settings.md").read_text(), re.MULTILINE)
    wanted = {PREFIX + name.upper() for name in Settings.model_fields} - {f"{PREFIX}TIERS", f"{PREFIX}TIER_KEYS"}
    assert wanted <= set(stand)
    assert len(stand) == len(set(stand))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    assert [link for link, leads in links(document) if not leads] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One `two`\n\n## Again\n\n## Again\n```\n# no heading\n```\n")
    page = tmp_path / "a.md"
    page.write_text(
        "# A\n[1](b.md) [2](b.md#one-two) [3](b.md#again-1) [4](#a) [5](b.md#no-heading) [6](c.md) [7](#b)\n"
    )
    assert [link for link, leads in links(page) if not leads] == ["b.md#no-heading", "c.md", "#b"]


def test_the_index_leads_to_every_page() -> None:
    listed: set[Path] = set()
    for body in LISTED.findall((DOCS / "index.md").read_text()):
        for line in body.splitlines():
            if line and not line.startswith(":"):
                listed.update(DOCS.glob(f"{line}.md"))
    assert sorted(set(DOCS.rglob("*.md")) - listed - {DOCS / "index.md"}) == []


def links(document: Path) -> Iterator[tuple[str, bool]]:
    """Each link of a page to another, or to itself, and whether it leads somewhere."""
    for link in LINK.finditer(FENCED.sub("", document.read_text())):
        place = (document.parent / link["place"]) if link["place"] else document
        anchored = link["anchor"] is None or place.suffix != ".md"
        leads = place.exists() and (anchored or link["anchor"] in anchors(place))
        yield link[0].removeprefix("](").removesuffix(")"), leads


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub and MyST make them."""
    said: Counter[str] = Counter()
    found = set()
    for heading in HEADING.finditer(FENCED.sub("", page.read_text())):
        slug = slug_of(heading["text"])
        found.add(f"{slug}-{said[slug]}" if said[slug] else slug)
        said[slug] += 1
    return found


def slug_of(heading: str) -> str:
    """Small letters; words, hyphens and blanks only; a hyphen for each blank."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    kept = "".join(c for c in text if c in " -_" or unicodedata.category(c)[0] in "LN")
    return kept.strip().replace(" ", "-")
