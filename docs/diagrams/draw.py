"""Draws the diagrams: `python -m docs.diagrams.draw` writes an SVG for each of them beside this file."""

from pathlib import Path

from docs.diagrams.autoencoders import captions, sound
from docs.diagrams.clips import clips
from docs.diagrams.course import notebooks
from docs.diagrams.diffusion import diffusion, rotation, vae
from docs.diagrams.joint import system, wirings
from docs.diagrams.networks import attention, unet
from docs.diagrams.prompts import bridge, mixing

FOLDER = Path(__file__).parent
DIAGRAMS = (
    system, diffusion, rotation, vae, sound, captions, unet, clips, bridge, mixing, attention, wirings, notebooks,
)  # fmt: skip


def main() -> None:
    """Write them all."""
    for diagram in DIAGRAMS:
        path = FOLDER / f"{diagram.__name__}.svg"
        path.write_text(diagram().svg(), encoding="utf-8", newline="\n")
        print(path.name)


if __name__ == "__main__":
    main()
