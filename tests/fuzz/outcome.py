"""What may come of any input: a result or an error of ours, within limits of time and memory."""

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SECONDS, BYTES = 10, 1_000_000_000  # for one call: wall time, also on a busy machine, and growth of the process
SCALE = int(os.environ.get("CODI_FUZZ", "1"))  # more inputs: `make fuzz` sets it
STATUS = Path("/proc/self/status")  # Linux
COUNTS: dict[str, Counter] = defaultdict(Counter)


def fuzzing(examples: int) -> settings:
    """So many inputs, times CODI_FUZZ, the same in every run."""
    return settings(
        max_examples=examples * SCALE,
        derandomize=True,
        database=None,
        deadline=None,  # `limits` interrupts a call that hangs, which a deadline does not
        suppress_health_check=list(HealthCheck),
    )


def outcome(area: str, call: Callable[[], Any], check: Callable[[Any], None]) -> None:
    """Run `call`, and count a result that passes `check` as accepted, a ValueError of one line as refused.

    Anything else fails the test: another exception, an error without a message or of several lines, a call that takes
    more than `SECONDS` or `BYTES`.
    """
    with limits():
        try:
            result = call()
        except ValueError as error:
            message = str(error)
            assert message and "\n" not in message, f"expected an error of one line, got {message!r}"
            COUNTS[area]["refused"] += 1
            return
    check(result)
    COUNTS[area]["accepted"] += 1


@contextmanager
def limits() -> Iterator[None]:
    """Fails the test if the block takes longer than `SECONDS`, or lets the process grow by more than `BYTES`."""

    def stop(*_: Any) -> None:
        pytest.fail(f"expected a call of at most {SECONDS} s")

    alarm = hasattr(signal, "SIGALRM")  # not on Windows
    previous = signal.signal(signal.SIGALRM, stop) if alarm else None
    before = reset_peak()
    if alarm:
        signal.alarm(SECONDS)
    try:
        yield
    finally:
        if alarm:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)
    assert peak() - before < BYTES


def reset_peak() -> int:
    """Lets the kernel forget the largest size that this process had, and returns the present size in bytes."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The largest resident size of this process since `reset_peak`, in bytes; 0 where the system does not tell."""
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
