"""Writes docs/reference from the code: `python -m tests.reference`; with `--check`, only says which page is old."""

import sys

from tests.reference.pages import FOLDER, PAGES, outdated


def main() -> int:
    old = outdated()
    if "--check" not in sys.argv:
        for name in old:
            (FOLDER / name).write_text(PAGES[name]())
    sys.stdout.write("".join(f"{name}\n" for name in old))
    return 1 if old and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
