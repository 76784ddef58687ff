"""Loops that keep ticks flowing, and the ports they stand on."""
