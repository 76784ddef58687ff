"""Money and quotas as values: vectors, accounts, and the conservation law."""
