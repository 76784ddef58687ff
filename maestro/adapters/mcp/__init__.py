"""MCP, both ways: other people's servers as tools and sources, and Maestro's verbs as a server.

A server is spoken to by a confined process of its own (`bridge`), so that what a stranger sends is parsed where neither
store nor provider can be reached; the other side of its line is `link`.
"""
