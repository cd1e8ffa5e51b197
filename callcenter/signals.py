"""Being asked to end: SIGTERM from a supervisor, SIGINT from a person at the keyboard."""

import signal
import socket
import threading
from collections.abc import Callable


def on_stop(stop: Callable[[], None]) -> None:
    """Call ``stop`` when this process is asked to end, and again each time it is asked anew. For the main thread only.

    ``stop`` runs in a thread of its own. In the handler it would be called too late or never: a handler waits for the
    main thread to come back to Python code, so a signal that comes just before that thread falls asleep is slept
    through; and it may interrupt that thread while it holds the very lock that setting an Event needs.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)

    def listen() -> None:
        while reading.recv(1):
            stop()

    threading.Thread(target=listen, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
