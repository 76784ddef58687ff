"""The page about bounded turns says what happens: its example is run, and prints what the page says."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "bounded-turns.md"


def test_the_example_of_the_page_prints_what_the_page_says() -> None:
    blocks = dict(re.findall(r"^```(python|text)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    ran = subprocess.run([sys.executable, "-c", blocks["python"]], capture_output=True, text=True, check=False)
    assert (ran.stderr, ran.stdout) == ("", blocks["text"])
