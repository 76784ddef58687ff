"""RSS and Atom: fetching, parsing, and one poll of a feed."""
