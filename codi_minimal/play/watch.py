"""Generates a request step by step, and shows the ẑ_0 of every stream."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import Queue
from threading import Event, Thread
from typing import Any

from codi_minimal.codi import CoDi
from codi_minimal.play.cards import archive, download, finished, preview, row
from codi_minimal.play.notes import notes
from codi_minimal.play.request import Request
from codi_minimal.recipe import Addition, find_recipe
from codi_minimal.sample import Stream

LOOKS = 10  # how often outputs are shown while they appear
THREE_WAYS = {  # title → what differs in a request
    "together": {"joint": True},
    "one after another": {"recipe": "cascade", "joint": True},
    "each by itself": {"joint": False},
}


def steps_of(model: CoDi, request: Request) -> int:
    """How often a function that watches the request is called."""
    recipe = find_recipe(request.recipe or model.recipe)
    beside = request.joint and len(request.outputs) + any(b.role == "given" for b in request.brought) > 1
    each = [request.steps or recipe.steps_of(name, beside) for name in request.outputs]
    in_turn = any(type(addition).loop is not Addition.loop for addition in recipe.additions)
    return sum(each) if in_turn or not request.joint else max(each)


@dataclass(frozen=True)
class Look:
    """What is seen at a moment: the share of steps taken, and cards by modality; at the end sample and warnings."""

    done: float
    cards: dict[str, str]
    sample: dict[str, Any] | None = None
    warnings: Sequence[str] = ()


def watched(model: CoDi, request: Request) -> Iterator[Look]:
    """Generates one sample in a thread, which ends at its next step if nobody looks any more.

    Raises:
        ValueError: as `CoDi.generate`.
    """
    arguments, steps, left = request.arguments(), steps_of(model, request), Event()
    every, taken, cards, queue = max(1, steps // LOOKS), 0, {}, Queue()

    def watch(streams: Mapping[str, Stream]) -> None:
        nonlocal taken
        if left.is_set():
            raise InterruptedError
        taken += 1
        if taken % every == 0:
            cards.update(preview({name: streams[name] for name in streams if name in request.outputs}))
            queue.put(Look(min(1.0, taken / steps), dict(cards)))

    def work() -> None:
        try:
            with notes() as told:
                made = model.generate(**arguments, progress=watch)
            sample = {name: items[0] for name, items in made.items()}
            queue.put(Look(1.0, finished(sample), sample, told))
        except Exception as error:  # it is raised where the result is waited for
            queue.put(error)

    worker = Thread(target=work, daemon=True)
    worker.start()
    try:
        while True:
            if isinstance(look := queue.get(), Exception):
                raise look
            yield look
            if look.sample is not None:
                return
    finally:
        left.set()
        worker.join()


def generate(model: CoDi, request: Request) -> Iterator[tuple[str, list[str], str]]:
    """What the page shows while it generates: HTML, all that was shown so far, and a problem or nothing."""
    looks: list[str] = []
    cards: dict[str, str] = {}
    try:
        for look in watched(model, request):
            cards, sample = look.cards, look.sample
            link = "" if sample is None else download(archive(request, sample), f"codi-{request.seed}.zip")
            looks.append(row(cards, done=look.done if sample is None else None, link=link))
            yield looks[-1], looks, problem(*look.warnings)
    except (ValueError, FloatingPointError) as error:
        yield row(cards) if cards else "", looks, problem(error)


def compare(model: CoDi, request: Request) -> Iterator[tuple[str, list[str], str]]:
    """The same request in three ways, from the same noise."""
    rows: dict[str, str] = {}
    looks: list[str] = []
    try:
        for title, change in THREE_WAYS.items():
            asked = replace(request, **change)
            if title == "each by itself":  # a stream can be held only beside others
                asked = replace(asked, brought=[b for b in asked.brought if b.role == "prompt"])
            for look in watched(model, asked):
                rows[title] = row(look.cards, title, look.done if look.sample is None else None)
                looks.append("".join(rows.values()))
                yield looks[-1], looks, problem(*look.warnings)
    except (ValueError, FloatingPointError) as error:
        yield "".join(rows.values()), looks, problem(error)


def problem(*told: object) -> str:
    """A line for what went wrong, or for warnings; nothing for nothing."""
    return "⚠ " + "; ".join(map(str, told)) if told else ""
