"""OTP supervision as values: child specs, the truth table, restart intensity; knows neither Ray nor a clock.

spec      what a supervisor is told               requests  what people and programs may ask of it
machine   what it does about an exit: the table   pacing    how fast children come back after a mass death
state     what it knows and may decide            roster    what it leaves to its successor, mended on the way

from maestro.supervision import ChildSpec, Intensity, Pace, Resources
"""

from maestro.supervision.spec import ChildSpec, Intensity, Pace, Resources

__all__ = ["ChildSpec", "Intensity", "Pace", "Resources"]
