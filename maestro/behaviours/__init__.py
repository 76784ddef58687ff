"""The behaviours that ship with Maestro."""

from maestro.behaviours.counter import Counter
from maestro.behaviours.literature import Literature, Reader
from maestro.behaviours.part import Part
from maestro.behaviours.stream import Stream

__all__ = ["Counter", "Literature", "Part", "Reader", "Stream"]
