"""Telling people by HTTP: a notice is one POST of JSON."""
