"""The demo: its own small world, and the walk through it."""
