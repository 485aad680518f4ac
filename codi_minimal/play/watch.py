"""Generates a request step by step, and shows what every stream takes for its end."""

from collections.abc import Iterator
from dataclasses import replace
from queue import Queue
from threading import Thread
from typing import Any

from codi_minimal.codi import CoDi
from codi_minimal.play.cards import archive, download, finished, preview, row
from codi_minimal.play.request import Request
from codi_minimal.recipe import Addition, find_recipe

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


def watched(model: CoDi, request: Request) -> Iterator[tuple[float, dict[str, str], dict[str, Any] | None]]:
    """Generates one sample. Yields the share of steps taken, the cards so far, and at the end the sample.

    Raises:
        ValueError: as `CoDi.generate`.
    """
    arguments, seen = request.arguments(), {}
    every, taken, queue = max(1, steps_of(model, request) // LOOKS), 0, Queue()

    def watch(streams: Any) -> None:
        nonlocal taken
        taken += 1
        if taken % every == 0:
            seen.update(preview({name: streams[name] for name in streams if name in request.outputs}))
            queue.put((min(1.0, taken / steps_of(model, request)), dict(seen), None))

    def work() -> None:
        try:
            made = model.generate(**arguments, progress=watch)
            sample = {name: items[0] for name, items in made.items()}
            queue.put((1.0, finished(sample), sample))
        except Exception as error:  # it is raised where the result is waited for
            queue.put(error)

    Thread(target=work, daemon=True).start()
    while True:
        if isinstance(update := queue.get(), Exception):
            raise update
        yield update
        if update[2] is not None:
            return


def generate(model: CoDi, request: Request) -> Iterator[tuple[str, list[str], str]]:
    """What the page shows while it generates: HTML, all that was shown so far, and an error or nothing."""
    looks: list[str] = []
    try:
        for done, cards, sample in watched(model, request):
            link = "" if sample is None else download(archive(request, sample), f"codi-{request.seed}.zip")
            looks.append(row(cards, done=None if sample else done, link=link))
            yield looks[-1], looks, ""
    except (ValueError, FloatingPointError) as error:
        yield looks[-1] if looks else "", looks, f"⚠ {error}"


def compare(model: CoDi, request: Request) -> Iterator[tuple[str, list[str], str]]:
    """The same request in three ways, from the same noise."""
    rows: dict[str, str] = {}
    looks: list[str] = []
    try:
        for title, change in THREE_WAYS.items():
            asked = replace(request, **change)
            if title == "each by itself":  # a stream can be held only beside others
                asked = replace(asked, brought=[b for b in asked.brought if b.role == "prompt"])
            for done, cards, sample in watched(model, asked):
                rows[title] = row(cards, title, None if sample else done)
                looks.append("".join(rows.values()))
                yield looks[-1], looks, ""
    except (ValueError, FloatingPointError) as error:
        yield "".join(rows.values()), looks, f"⚠ {error}"
