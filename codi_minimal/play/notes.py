"""Collects the warnings about a prompt, so that they are shown to the visitor who wrote it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from codi_minimal.inputs import PromptWarning

_of_this_thread = threading.local()


@contextmanager
def notes() -> Iterator[list[str]]:
    """Collects the text of each `PromptWarning` of this thread; `warnings.catch_warnings` has those of all threads."""
    told: list[str] = []
    _of_this_thread.told = told
    if getattr(warnings.showwarning, "__name__", "") != "_show":
        warnings.showwarning = _shown_by(warnings.showwarning)
    try:
        yield told
    finally:
        _of_this_thread.told = None


def _shown_by(others: Any) -> Any:
    def _show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        told = getattr(_of_this_thread, "told", None)
        if told is None or not issubclass(category, PromptWarning):
            others(message, category, *where)
        elif str(message) not in told:
            told.append(str(message))

    return _show
