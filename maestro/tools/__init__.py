"""Tools: what a tool declares, who may use it when, and the pure rules around a call. Adapters carry calls out."""
