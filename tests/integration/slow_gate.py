"""What `tests.integration.slow_host` waits for while it is loaded."""

import threading

OPENED = threading.Event()
