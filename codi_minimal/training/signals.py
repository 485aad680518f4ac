"""Letting a step end before a signal ends the run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Inside the block a first SIGINT or SIGTERM is only noted, in the list given; a second one interrupts.

    An optimizer interrupted half-way leaves weights that belong to no step, which must never be saved.
    Ignored signals stay so; outside the main thread, where Python delivers none, nothing is done.
    """
    caught: list[int] = []

    def note(signum, frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(signum)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                previous[signum] = signal.signal(signum, note)
    try:
        yield caught
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
