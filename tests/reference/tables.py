"""Markdown, as the pages of the reference write it."""

from collections.abc import Iterable, Sequence

MADE = "<!-- Made of the code by `make reference`: change the code, not this page. -->"


def opening(title: str, text: str) -> str:
    return f"{MADE}\n\n# {title}\n\n{text}\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cell(text: str) -> str:
    """One line, with no border of a table in it."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """As code, also where it has a border of a table in it; nothing for nothing."""
    return f"`{text}`" if str(text) else ""
