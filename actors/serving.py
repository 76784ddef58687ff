"""Serve, begun once per cluster: with its HTTP proxy on loopback where the pane is on, else without any port.

Invariant: whoever comes first begins it, with the same options as anybody else would.
"""

from ray import serve

from maestro.settings import Settings


def begin_serve(settings: Settings) -> None:
    """Serve runs."""
    if settings.pane == "off":
        serve.start(proxy_location="Disabled")
    else:
        serve.start(proxy_location="HeadOnly", http_options={"host": settings.pane_host, "port": settings.pane_port})
