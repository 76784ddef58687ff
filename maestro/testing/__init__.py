"""What tests of Maestro, and of what is built on it, are made of. Public: import from the modules.

- `world`: the whole of Maestro in one process on virtual time, as unlucky as a seed makes it
- `faults`: what can happen at a call, drawn from a seed; one crash at one call
- `checks`: what must hold whatever happened
- `simulation`: one seed: deeds and faults, then peace, in which all work must finish
- `story`: three weeks of a literature monitor, to be cut anywhere
- `provider`: a model provider over HTTP, by script
"""
