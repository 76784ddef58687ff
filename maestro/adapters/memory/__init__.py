"""Every port of the store in one process's memory: for tests, and as the plainest statement of the rules.

Each method is atomic because it does not await between its first look and its last write: on one event loop nothing can
come in between. So the adapter serves one loop only, and nothing outlives the process.
"""
