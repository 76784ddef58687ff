"""The behaviours that ship with Maestro."""

from maestro.behaviours.counter import Counter
from maestro.behaviours.literature import Literature, Reader

__all__ = ["Counter", "Literature", "Reader"]
