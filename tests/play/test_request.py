"""What a visitor asks for, as arguments and as a command line; and what is written for them."""

import io
import shlex
import zipfile

import numpy as np
import pytest
import torch

from codi_minimal import cli, media
from codi_minimal.data import load
from codi_minimal.data.scenes import RENDERERS, draw
from codi_minimal.play import cards
from codi_minimal.play.examples import examples
from codi_minimal.play.request import Brought, Request, drawing
from tests.models import AUDIO, IMAGE, VIDEO, random_codi

ALL = ("text", "image", "audio", "video")


def test_prompts_and_held_streams_are_arguments_of_generate():
    prompts = [Brought("text", "seven"), Brought("text", "red"), Brought("image", IMAGE)]
    brought, weights = [*prompts, Brought("video", VIDEO, "given")], {"text": 0.5, "audio": 1.0}
    found = Request(brought, ("audio",), weights, "paper", 3, 2.0, 4, True).arguments()
    assert found["prompts"]["text"] == [["seven"], ["red"]] and torch.equal(found["prompts"]["image"][0], IMAGE)
    assert list(found["given"]) == ["video"] and torch.equal(found["given"]["video"], VIDEO)
    assert found["weights"] == {"text": 0.5}  # only of what was brought
    rest = {name: found[name] for name in ("outputs", "recipe", "seed", "guidance", "steps", "joint")}
    assert rest == {
        "outputs": ("audio",), "recipe": "paper", "seed": 3, "guidance": 2.0, "steps": 4, "joint": True,
    }  # fmt: skip
    assert Request((), ("text",)).arguments()["given"] is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(), "outputs: expected one or more"),
        (Request([Brought("text", "a", "given")] * 2, ("image",)), "expected each modality once, got text twice"),
        (Request([Brought("image", IMAGE, "given")], ("image", "text")), "expected none that is held, got image"),
    ],
)
def test_what_does_not_go_together_is_said(request_, message):
    with pytest.raises(ValueError, match=message):
        request_.arguments()


def test_the_command_repeats_all_of_it():
    brought = [Brought("text", "it's a seven"), Brought("image", IMAGE), Brought("audio", AUDIO, "given")]
    request = Request(brought, ("text", "video"), {"text": 0.5, "image": 1.0}, "paper", 7, 2.5, 9)
    words = shlex.split(request.command(["it's a seven", "a.png", "b.wav"]))
    assert words == shlex.split(
        """python -m codi_minimal generate "--text=it's a seven" --image=a.png --given=audio=b.wav --to text video
        --weights text=0.5 image=1 --recipe paper --seed 7 --guidance 2.5 --steps 9"""
    )
    served = {"checkpoint": "mine", "recipe": "paper"}
    words = shlex.split(Request([], ("text",), recipe="cascade", served=served).command([]))
    assert words[words.index("--checkpoint") + 1] == "mine" and words.count("--recipe") == 1
    assert words[words.index("--recipe") + 1] == "cascade"
    plain = Request([], ("text",), joint=False).command([])
    assert plain == "python -m codi_minimal generate --to text --seed 0 --no-joint"


def test_a_saved_result_is_repeated_by_its_command(tmp_path, monkeypatch, capsys):
    source, g = load(hub=False), torch.Generator().manual_seed(0)
    scene = draw(source, 1, g, torch.arange(len(source.digits)), torch.arange(len(source.spoken)))
    image, audio = (RENDERERS[name](source, scene, g)[0] for name in ("image", "audio"))
    brought = [Brought("text", "a seven"), Brought("image", image), Brought("audio", audio, "given")]
    request = Request(brought, ("text", "video"), steps=2)
    model = random_codi()
    made = {name: items[0] for name, items in model.generate(**request.arguments()).items()}
    zipfile.ZipFile(io.BytesIO(cards.archive(request, made))).extractall(tmp_path)
    names = {"brought-2-image.png", "brought-3-audio.wav", "made-text.txt", "made-video.mp4", "command.txt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_model", lambda args: model)
    command = shlex.split((tmp_path / "command.txt").read_text(encoding="utf-8"))
    assert cli.main([*command[3:], "--out", "again"]) == 0
    assert cli.main([*command[3:], "--out", "again", "--seed", "1"]) == 0
    first, again, other = (
        media.read_video(tmp_path / path) for path in ("made-video.mp4", "again/001-video.mp4", "again/002-video.mp4")
    )
    # what was brought has eight bits in its files
    assert (again - first).abs().mean() < 0.25 * (other - first).abs().mean()


def test_a_drawing_lies_on_white_paper():
    sheet = np.zeros((320, 320, 4), np.uint8)
    sheet[60:260, 150:170] = (0, 0, 200, 255)
    image = drawing({"composite": sheet})
    assert image.shape == (3, 32, 32) and image[2].max() > 0.9 and image[0].max() < 0.3
    assert torch.equal(drawing({"composite": sheet[..., :3] + 255 * (sheet[..., 3:] == 0).astype(np.uint8)}), image)
    for nothing in (None, {"composite": None}, {"composite": np.zeros((320, 320, 4), np.uint8)}):
        with pytest.raises(ValueError, match="empty sheet|blank picture"):
            drawing(nothing)


def test_every_example_can_be_generated():
    for title, (things, outputs) in examples().items():
        request = Request(things, outputs, steps=1)
        made = random_codi().generate(**request.arguments())
        assert set(made) == set(outputs), title
    roles = {thing.role for things, _ in examples().values() for thing in things}
    assert roles == {"prompt", "given"}


def test_captions_cannot_carry_markup():
    shown = cards.row({"text": cards.quote("<script>alert(1)</script>")}, title="<b>")
    assert "<script>" not in shown and "<b>" not in shown and "&lt;script&gt;" in shown


def test_a_video_plays_with_the_audio_beside_it(monkeypatch):
    given = []
    monkeypatch.setattr(cards, "film", lambda frames, wave=None: given.append(wave) or "")
    cards.finished({"video": VIDEO, "audio": AUDIO})
    cards.finished({"video": VIDEO})
    assert torch.equal(given[0], AUDIO) and given[1] is None
    assert list(cards.finished({"text": "a", "image": IMAGE, "audio": AUDIO, "video": VIDEO})) == list(ALL)


def test_a_caption_that_looks_like_a_file_is_saved_in_one(tmp_path):
    request = Request([Brought("text", "seven.TXT"), Brought("text", "seven")], ("text",))
    with zipfile.ZipFile(io.BytesIO(cards.archive(request, {"text": "a seven"}))) as zipped:
        assert zipped.read("brought-1-text.txt").decode().strip() == "seven.TXT"
        assert "--text=brought-1-text.txt --text=seven" in zipped.read("command.txt").decode()
