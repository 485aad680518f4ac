"""The page: bring anything, choose outputs, and see them appear from noise side by side."""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from codi_minimal.codi import CoDi
from codi_minimal.config import MODALITIES
from codi_minimal.inputs import PromptWarning
from codi_minimal.media import FITS_OF, READERS_OF
from codi_minimal.media.clips import CONTAINERS
from codi_minimal.media.pictures import PICTURE_ENDINGS
from codi_minimal.play.cards import thumbnail
from codi_minimal.play.examples import examples
from codi_minimal.play.notes import notes
from codi_minimal.play.request import SEED, Brought, Request, drawing
from codi_minimal.play.watch import compare, generate
from codi_minimal.recipes import RECIPES

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
CLEANED = (600, 3600)  # s: uploaded files that are older than the second are removed, this often
WAITING = 20  # visitors in the queue
MOST_UPLOADED = "50mb"
INKS = ["#101010", "#ff2626", "#26e640", "#4066ff", "#ffe633", "#ff4de6", "#33f2f2", "#ff8c1a"]
OWN = "the checkpoint's"
ADD = {"prompt": "Add as a prompt", "given": "Hold as a stream"}  # what the button of each role says
PICTURES = {"PNG", "JPEG", "WEBP", "BMP", "GIF"}
WELCOME = """# Any to any
Bring words, a drawing, a voice or a clip, in any mixture, and choose what is to be made of them. All outputs appear
from noise together, and each sees the others at every step. The model knows one small world{}.
"""


def page(model: CoDi, served: Mapping[str, str] | None = None) -> gr.Blocks:
    """The playground of a model. Every visitor has a state of their own, and one request at a time is computed.

    `served`: see `Request`.
    """
    with gr.Blocks(title="codi-minimal", analytics_enabled=False, delete_cache=CLEANED, fill_width=True) as blocks:
        brought, looks = gr.State([]), gr.State([])
        names = [name for name in MODALITIES if name in model.modalities]
        outputs = gr.CheckboxGroup(names, value=names, label="make", elem_id="outputs", render=False)
        of_digits = model.config.model.fit == "digits"
        gr.Markdown(WELCOME.format(": digits that have a colour, move, and are spoken" if of_digits else ""))
        with gr.Row():
            for title, (things, wanted) in (examples() if of_digits else {}).items():
                button = gr.Button(title, size="sm", elem_classes="example")
                button.click(partial(_example, things, wanted), None, [brought, outputs])
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                bring(model, brought)
                show_brought(brought)
                with gr.Row():
                    clear = gr.Button("Start again", size="sm", elem_id="clear")
                outputs.render()
                with gr.Row():
                    go = gr.Button("Generate", variant="primary", elem_id="generate")
                    three = gr.Button("Three ways, same noise", elem_id="compare")
                more = options()
            with gr.Column(scale=3, min_width=320):
                problem = gr.Markdown(elem_classes="problem", elem_id="problem")
                shown = gr.HTML(elem_id="result")
                replay = gr.Slider(0, 1, 1, step=1, label="replay", visible=False, elem_id="replay")
        asked, runs = [brought, outputs, *more], []
        for button, run in ((go, generate), (three, compare)):
            # the model computes for one visitor at a time
            made = [shown, looks, problem, replay]
            event = button.click(
                partial(_run, run, model, served or {}), asked, made, concurrency_limit=1, concurrency_id="model"
            )
            runs.append(event)
        replay.input(lambda i, seen: seen[int(i)] if seen else "", [replay, looks], shown, queue=False)
        emptied = [brought, looks, shown, problem, replay]
        clear.click(lambda: ([], [], "", "", gr.Slider(visible=False)), None, emptied, cancels=runs)
    return blocks.queue(max_size=WAITING)


def bring(model: CoDi, brought: gr.State) -> None:
    """A box for each modality, and one to draw in, each with what is wrong with its content beside it."""
    fit = model.config.model.fit
    read = {name: partial(_read, reader) for name, reader in READERS_OF[fit].items() if name in model.modalities}
    with gr.Tabs():
        with gr.Tab("Type"):
            text = gr.Textbox(label="a caption, or everyday English", lines=2, elem_id="text")
            _adds(brought, "text", partial(_typed, model), [text])
        with gr.Tab("Draw", visible="image" in read):
            brush = gr.Brush(default_size=22, colors=INKS, default_color=INKS[0], color_mode="fixed")
            # on an empty sheet, visitors would have to choose the brush first
            paper = np.full((320, 320, 3), 255, np.uint8)
            sheet = gr.Sketchpad(
                paper, label="a drawing", canvas_size=(320, 320), brush=brush, layers=False, elem_id="sheet"
            )
            _adds(brought, "image", partial(drawing, fit=FITS_OF[fit]["image"]), [sheet])
        with gr.Tab("Show", visible="image" in read):
            photo = gr.File(file_types=list(PICTURE_ENDINGS), label="a picture", elem_id="photo")
            _adds(brought, "image", read.get("image"), [photo], "photo")
        with gr.Tab("Say", visible="audio" in read):
            voice = gr.Audio(sources=["microphone", "upload"], type="filepath", label="a recording", elem_id="voice")
            _adds(brought, "audio", read.get("audio"), [voice])
        with gr.Tab("Film", visible="video" in read):
            clip = gr.File(file_types=list(CONTAINERS), label="a clip: GIF, MP4, MOV, WebM", elem_id="clip")
            start = gr.Number(0, label="from this second on", elem_id="start")
            _adds(brought, "video", read.get("video"), [clip, start])
            if "audio" in read:
                gr.Markdown("Its sound:")
                _adds(brought, "audio", read["audio"], [clip, start], "sound")


def _adds(brought: gr.State, name: str, read: Callable[..., Any], boxes: list[Any], box: str = "") -> None:
    """Two buttons below a box that add what is in it, and a line for what is wrong with it."""
    box = box or name
    with gr.Row():
        buttons = {role: gr.Button(label, size="sm", elem_id=f"{role}-{box}") for role, label in ADD.items()}
    note = gr.Markdown(elem_classes="problem", elem_id=f"problem-{box}")
    for role, button in buttons.items():
        button.click(partial(_add, name, read, role), [brought, *boxes], [brought, note])


def _add(
    name: str, read: Callable[..., Any], role: str, brought: list[Brought], *boxes: Any
) -> tuple[list[Brought], str]:
    try:
        with notes() as told:
            thing = Brought(name, read(*boxes), role)
    except ValueError as error:
        return brought, f"⚠ {error}"
    return [*brought, thing], "⚠ " + "; ".join(told) if told else ""


def _typed(model: CoDi, text: str) -> str:
    if not (text := " ".join(text.split())):
        raise ValueError("expected a caption, got nothing")
    batch = [text]
    for addition in model.recipe.additions:  # so that what it warns of is told at once
        batch = addition.rewrite("text", batch)
    model.encode_prompt("text", batch)
    return text


def _read(reader: Callable[..., Any], path: str | None, *start: float) -> Any:
    if path is None:
        raise ValueError("expected a file, got none")
    try:
        return reader(path, *(second or 0.0 for second in start))
    except ValueError as error:  # its visitor has never seen the folder of an uploaded file
        raise ValueError(str(error).replace(str(Path(path).parent) + os.sep, "")) from None


def show_brought(brought: gr.State) -> None:
    """What was brought, each with its role and a button that removes it."""

    @gr.render(inputs=brought)
    def show(things: list[Brought]) -> None:
        if not things:
            gr.Markdown("*Nothing is brought: the outputs are made up.*")
        for thing in things:
            with gr.Row(elem_classes="brought"):
                gr.HTML(f'<div class="brought">{thumbnail(thing.modality, thing.item)}</div>')
                roles = [("prompt", "prompt"), ("held", "given")]
                role = gr.Radio(
                    roles, value=thing.role, show_label=False, container=False, min_width=120, interactive=True
                )
                gone = gr.Button("✕", size="sm", min_width=40, scale=0)
            role.input(partial(_replaced, thing.key), [brought, role], brought)
            gone.click(partial(_removed, thing.key), brought, brought)


def _replaced(key: str, things: list[Brought], role: str) -> list[Brought]:
    return [replace(thing, role=role) if thing.key == key else thing for thing in things]


def _removed(key: str, things: list[Brought]) -> list[Brought]:
    return [thing for thing in things if thing.key != key]


def options() -> list[Any]:
    """Recipe, seed, guidance and steps, and the weights of prompts."""
    with gr.Accordion("more", open=False):
        recipe = gr.Dropdown([OWN, *RECIPES], value=OWN, label="recipe")
        seed = gr.Number(SEED, label="seed", precision=0)
        guidance = gr.Slider(0, 10, 0, step=0.5, label="guidance (0: the recipe's)")
        steps = gr.Slider(0, 100, 0, step=1, label="steps (0: the recipe's)")
        weights = [gr.Slider(0, 1, 1, step=0.05, label=f"weight of {name} prompts") for name in MODALITIES]
    return [recipe, seed, guidance, steps, *weights]


def _example(things: list[Brought], outputs: tuple[str, ...]) -> tuple[list[Brought], list[str]]:
    return list(things), list(outputs)


def _run(
    run: Callable[..., Any],
    model: CoDi,
    served: Mapping[str, str],
    brought: list[Brought],
    outputs: list[str],
    recipe: str,
    seed: float,
    guidance: float,
    steps: float,
    *weights: float,
) -> Any:
    request = Request(
        brought,
        [name for name in MODALITIES if name in outputs],
        dict(zip(MODALITIES, weights, strict=True)),
        None if recipe == OWN else recipe,
        int(seed or 0),
        guidance or None,
        int(steps) or None,
        served=served,
    )
    for shown, looks, problem in run(model, request):
        last = max(1, len(looks) - 1)
        yield shown, looks, problem, gr.Slider(0, last, last, visible=len(looks) > 1)


def launch(
    model: CoDi,
    host: str = "127.0.0.1",
    port: int | None = None,
    served: Mapping[str, str] | None = None,
    block: bool = True,
) -> Any:
    """Serves the page until it is interrupted; returns Gradio's app if `block` is False."""
    Image.init()  # Gradio opens drawings with Pillow, and Pillow starts a program for PostScript
    Image.ID[:] = [name for name in Image.ID if name in PICTURES]
    warnings.filterwarnings("always", category=PromptWarning)
    blocks = page(model, served)
    theme = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"])  # no font from the network
    blocks.launch(
        server_name=host, server_port=port, share=False, quiet=True, prevent_thread_lock=True, css=CSS,
        theme=theme, max_file_size=MOST_UPLOADED, footer_links=[], run_history=False, pwa=False, mcp_server=False,
        ssr_mode=False,
    )  # fmt: skip
    print(f"open {blocks.local_url}", flush=True)
    if block:
        blocks.block_thread()
    return blocks
