"""What each area of the fuzzing tests tried, and what came of it: a table at the end of the run."""

import pytest

from tests.fuzz.outcome import COUNTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if COUNTS:
        terminalreporter.section("fuzzing: inputs tried")
        for area, counts in sorted(COUNTS.items()):
            terminalreporter.line(f"{area:12} " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
