"""Traces by OpenTelemetry: one for each wake, linked to what caused it.

    MAESTRO_OTEL_ENDPOINT=http://collector:4318 maestro up      # needs the extra `otel`

What is not here: whether there are traces (`maestro.settings`), logs (`maestro.telemetry`), metrics (`actors.gauges`).
"""
