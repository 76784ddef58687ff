"""Sphinx's settings: `make docs` builds these pages, and fails where a link leads nowhere.

The pages are plain Markdown that reads as well without a build. Nothing of the code is imported here: what is made of
the code (`make reference`) is committed, and a test holds it to the code.
"""

project = "Maestro"
html_title = "Maestro"
extensions = ["myst_parser"]
myst_heading_anchors = 4
exclude_patterns = ["requirements.*"]
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
