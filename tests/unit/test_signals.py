"""Being asked to end, at the worst moment."""

import subprocess
import sys

BEGIN = """
import os, signal, threading
from callcenter.signals import on_stop
stopped = threading.Event()
"""

MAIN_THREAD_ASLEEP = """
on_stop(stopped.set)
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
threading.Thread(target=lambda: stopped.wait(20) and os._exit(0), daemon=True).start()
threading.Event().wait(10)
os._exit(1)
"""

LOCK_HELD = """
lock = threading.Lock()
def stop():
    with lock:
        stopped.set()
on_stop(stop)
with lock:
    os.kill(os.getpid(), signal.SIGTERM)
os._exit(0 if stopped.wait(10) else 1)
"""


def _exit_status(script: str) -> int:
    return subprocess.run([sys.executable, "-c", BEGIN + script], timeout=60, check=False).returncode


def test_a_signal_is_heard_while_the_main_thread_sleeps_on() -> None:
    assert _exit_status(MAIN_THREAD_ASLEEP) == 0


def test_a_signal_that_comes_while_a_lock_is_held_blocks_nobody() -> None:
    assert _exit_status(LOCK_HELD) == 0
