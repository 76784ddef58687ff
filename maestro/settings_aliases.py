"""Names of others that mean one of our settings: read from the environment where ours is not set there.

Invariant: our own name wins, wherever both stand; a wrong value is told with the name that it was read from.
"""

from collections.abc import Mapping

from pydantic import JsonValue

ALIASES: Mapping[str, str] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otel_endpoint",
    "LLM_MAX_RETRIES": "llm_max_retries",
    "LLM_REQUEST_TIMEOUT": "llm_request_timeout_s",
    "LLM_ENABLE_FALLBACK": "failover_enabled",
}
"""Name -> the setting that it is taken for."""


def aliased(environ: Mapping[str, str]) -> dict[str, JsonValue]:
    """Settings that an environment gives by a name of others; what is empty says nothing."""
    return {setting: environ[alias] for alias, setting in ALIASES.items() if environ.get(alias)}


def alias_of(setting: str, environ: Mapping[str, str]) -> str | None:
    """The name of others by which `setting` stands in an environment."""
    return next((alias for alias, meant in ALIASES.items() if meant == setting and environ.get(alias)), None)
