"""What tests of Maestro, and of what is built on it, are made of. Public: import from the modules.

For whoever writes behaviours (docs/how-to/test-a-behaviour.md):
- `harness`: a behaviour with all of Maestro around it, on a clock that jumps; cut anywhere, or unlucky by a seed
- `provider`: a model provider over HTTP, by script

What that stands on, and what Maestro itself is tested with:
- `world`: the whole of Maestro in one process on virtual time, as unlucky as a seed makes it
- `faults`: what can happen at a call, drawn from a seed; one crash at one call
- `checks`, `reasons`: what must hold whatever happened, and at every quiet moment
- `simulation`: one seed: deeds and faults, then peace, in which all work must finish
- `story`: three weeks of a literature monitor, to be cut anywhere
- `forks`: many ends of one beginning, for a story that is cut at every write
- `spread`: the same work on many values, on all cores
"""
