"""The command line, with a fake model: files in, files out, one line for every error."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from codi_minimal import arguments, cli, demo, media
from codi_minimal.data import load
from codi_minimal.data.world import World
from codi_minimal.sheet import contact_sheet

ROOT = Path(__file__).parents[1]


class Fake:
    """Remembers what it was asked; gives a gradient, a tone, a moving bar and a caption."""

    def __init__(self):
        self.calls = []

    def generate(self, prompts, outputs, seed=0, num_samples=1, **options):
        asked = {"prompts": prompts, "outputs": outputs, "seed": seed, "num": num_samples}
        self.calls.append(asked | options)
        video = torch.zeros(num_samples, 8, 3, 32, 32)
        for f in range(8):
            video[:, f, 1, 8:24, 20 - 2 * f :][..., :4] = 0.9
        audio = torch.zeros(num_samples, 8192)
        audio[:, 2000:4000] = 0.8 * torch.sin(torch.arange(2000) / 3)
        image = torch.linspace(0.2, 1, 32).expand(num_samples, 3, 32, 32).clone()
        everything = {"text": ["a green one"] * num_samples, "image": image, "audio": audio, "video": video}
        return {name: everything[name] for name in outputs}


@pytest.fixture
def fake(monkeypatch):
    model = Fake()
    monkeypatch.setattr(cli, "_model", lambda args: model)
    return model


def run(capsys, *arguments):
    """Exit code, stdout's lines and stderr."""
    try:
        code = cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_generate_reads_files_asks_the_model_and_writes_files(fake, capsys, tmp_path):
    picture = torch.zeros(3, 32, 32)
    picture[0, 8:24, 12:20] = 1
    media.write_png(tmp_path / "seven.png", picture)
    media.write_wav(tmp_path / "me.wav", 0.5 * torch.sin(torch.arange(8192) / 4))
    out = tmp_path / "new" / "out"
    given = ["--text", "a red seven", "--image", tmp_path / "seven.png", "--audio", tmp_path / "me.wav"]
    options = ["--weights", "text=1", "audio=0.5", "--seed", 3, "--steps", 7, "--no-joint", "--no-arrivals"]
    code, lines, _ = run(capsys, "generate", *given, "--to", "image", "video", "--out", out, *options)
    assert code == 0
    call = fake.calls[0]
    assert call["prompts"]["text"] == [["a red seven"]]
    assert (call["prompts"]["image"][0] - picture[None]).abs().max() < 0.01
    assert call["prompts"]["audio"][0].shape == (1, 8192) and "video" not in call["prompts"]
    assert call["outputs"] == ("image", "video") and call["weights"] == {"text": 1.0, "audio": 0.5}
    assert (call["seed"], call["steps"], call["joint"]) == (3, 7, False) and "guidance" not in call
    assert call["arrivals"] is False
    assert [Path(line).name for line in lines] == ["001-image.png", "001-video.gif", "001-sheet.png"]
    written = media.read_video(out / "001-video.gif")
    assert (written - fake.generate({}, ["video"])["video"][0]).abs().max() < 0.02


def test_generate_takes_several_prompts_of_a_modality_and_a_text_file(fake, capsys, tmp_path):
    (tmp_path / "caption.txt").write_text("sliding left\n")
    given = ["--text", "seven", "--text", tmp_path / "caption.txt"]
    run(capsys, "generate", *given, "--to", "text", "--out", tmp_path)
    assert fake.calls[0]["prompts"] == {"text": [["seven"], ["sliding left"]]}


def test_generate_without_prompts_is_unconditional_and_numbers_go_up(fake, capsys, tmp_path):
    for _ in range(2):
        assert run(capsys, "generate", "--to", "text", "--num", 2, "--out", tmp_path)[0] == 0
    assert fake.calls[0]["prompts"] == {} and fake.calls[0]["num"] == 2
    names = sorted(p.name for p in tmp_path.iterdir())
    texts = [f"00{i}-text.txt" for i in (1, 2, 3, 4)]
    assert names == sorted([*texts, "001-sheet.png", "003-sheet.png"])


BAD = [
    ([], "error: the following arguments are required"),
    (["dance"], "error: argument"),
    (["generate", "--to", "smell"], "invalid choice: 'smell'"),
    (["generate", "--to"], "expected at least one argument"),
    (["generate", "--num", "0"], "whole number of 1 or more"),
    (["generate", "--weights", "text"], "NAME=NUMBER"),
    (["generate", "--image", "gone.png"], "gone.png: expected a picture"),
    (["generate", "--audio", __file__], "expected a recording"),
    (["generate", "--out", __file__], "error: "),
    (["check", "--device", "abacus"], "abacus"),
    (["train", "--estimate", "--stages", "joint"], "expected none with --estimate"),
    (["train", "--estimate", "--further"], "--further: expected none with --estimate"),
    (["train", "--steps", "3"], "--steps: expected only with --further"),
    (["train", "--further", "--device", "cpu"], "expected stages out of prompts-text-image"),
    (["train", "--further", "--stages", "autoencoder-image", "--device", "cpu"], "got ['autoencoder-image']"),
    (["check", "--device", "cpu", "--data", "nowhere"], "mnist-test.parquet"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: " ".join(value)[:30])
def test_errors_are_one_line_and_exit_code_two(fake, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 2 and err.startswith("error: ") and message in err and err.count("\n") == 1
    assert not fake.calls


def test_a_checkpoint_that_is_not_there_is_one_line(capsys, tmp_path):
    code, _, err = run(capsys, "generate", "--checkpoint", tmp_path / "none", "--out", tmp_path)
    assert code == 2 and err.startswith("error: ") and "none" in err and err.count("\n") == 1


def test_a_training_that_diverges_is_one_line(capsys, monkeypatch):
    def diverge(*args, **options):
        raise FloatingPointError("joint: the loss or its gradient is not finite at step 7")

    monkeypatch.setattr("codi_minimal.training.stages.train", diverge)
    code, _, err = run(capsys, "train", "--preset", "tiny")
    assert code == 2 and err == "error: joint: the loss or its gradient is not finite at step 7\n"


def test_what_was_made_stays_when_the_sheet_fails(fake, capsys, tmp_path, monkeypatch):
    def fail(rows, path):
        raise OSError("no space left on device")

    monkeypatch.setattr("codi_minimal.sheet.contact_sheet", fail)
    code, lines, err = run(capsys, "generate", "--to", "text", "--out", tmp_path)
    assert code == 2 and err == "error: no space left on device\n"
    assert media.read_text(lines[0]) == "a green one"


def test_check_says_versions_device_data_and_makes_a_sample(fake, capsys, monkeypatch, data_dir):
    monkeypatch.setattr(Fake, "parameters", lambda self: [torch.zeros(1_500_000)], raising=False)
    code, lines, _ = run(capsys, "check", "--device", "cpu", "--data", data_dir)
    text = "\n".join(lines)
    assert code == 0
    assert f"torch {torch.__version__.split('+')[0]}" in text and "device: cpu" in text
    assert f"data: {data_dir}: 5000 digits and 300 recordings" in text
    assert "1.5 million" in text and '"a green one"' in text


def test_an_estimate_prints_every_stage_and_their_sum_and_trains_nothing(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("codi_minimal.training.stages.train", lambda *a, **k: asked.append("trained"))
    monkeypatch.setattr(
        "codi_minimal.training.estimate.estimate", lambda *a, **k: asked.append(a) or {"caches": 1.5, "joint": 2.0}
    )
    code, lines, _ = run(capsys, "train", "--preset", "tiny", "--data", "d", "--device", "cpu", "--estimate")
    assert code == 0 and asked == [("tiny", "d", "cpu")]
    assert [line.split()[:2] for line in lines] == [["caches", "1.5"], ["joint", "2.0"], ["all", "3.5"]]


def test_train_and_evaluate_pass_on_what_they_are_given(fake, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("codi_minimal.training.stages.train", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setattr("codi_minimal.evaluation.evaluate.evaluate", lambda *a, **k: asked.append((a, k)))
    training = ["--preset", "tiny", "--data", "d", "--out", "o", "--device", "cpu", "--stages", "vocoder"]
    assert run(capsys, "train", *training)[0] == 0
    assert run(capsys, "evaluate", "--data", "d", "--quick")[1] == ["results/report.md"]
    assert asked[0] == (("tiny", "d", "o"), {"device": "cpu", "stages": ["vocoder"]})
    assert asked[1][0] == (fake, "d", "results") and asked[1][1]["quick"] is True
    assert asked[1][1]["options"] == {}  # generate's own defaults
    run(capsys, "evaluate", "--data", "d", "--stagger", 0, "--autocast", "bf16", "--workers", 3, "--cells", 2)
    assert asked[2][1]["options"] == {"stagger": 0.0, "autocast": "bf16"} and asked[2][1]["workers"] == 3
    assert asked[2][1]["cells"] == 2 and asked[1][1]["cells"] is None
    run(capsys, "evaluate", "--no-arrivals", "--checkpoint", "runs/x")
    assert asked[3][1]["options"] == {"arrivals": False}
    assert asked[3][1]["checkpoint"] == "runs/x" and asked[1][1]["checkpoint"] is None


@pytest.mark.parametrize("name", arguments.EXPERIMENTS)
def test_experiments_pass_on_what_they_are_given(fake, capsys, monkeypatch, tmp_path, name):
    asked = []
    monkeypatch.setattr(f"codi_minimal.experiments.{name}.{name}", lambda *a, **k: asked.append((a, k)))
    code, lines, _ = run(capsys, "experiment", name, "--data", "d", "--out", tmp_path, "--samples", 3)
    assert code == 0 and lines == [str(tmp_path / name / f"{name}.md")]
    assert asked == [((fake, "d", tmp_path / name), {"samples": 3, "seed": 0, "progress": False})]
    code, _, err = run(capsys, "experiment", name, "--steps", 2)
    assert (code == 0) == (name in cli.TRAINS) == (not err)


def test_judges_are_trained_and_tested(capsys, monkeypatch, tmp_path):
    from codi_minimal.evaluation import train_judges

    quick = partial(train_judges.train_classifiers, steps=2)
    monkeypatch.setattr(train_judges, "train_classifiers", quick)
    monkeypatch.setattr(train_judges, "judge_accuracy", partial(train_judges.judge_accuracy, n=20))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("CODI_DATA", raising=False)
    code, lines, _ = run(capsys, "judges", "--out", tmp_path)
    assert code == 0 and [line.split(":")[0] for line in lines] == ["image", "audio", "video"]
    assert {path.name for path in tmp_path.iterdir()} == {"judges.safetensors", "judges.json"}


def test_help_answers_without_torch():
    code = (
        "import contextlib, sys; from codi_minimal.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# ---- the demo


def test_demo_makes_all_four_of_five_prompt_sets_and_a_sheet(fake, capsys, tmp_path):
    code, lines, _ = run(capsys, "demo", "--out", tmp_path)
    assert code == 0
    assert [sorted(call["prompts"]) for call in fake.calls] == [
        ["text"], ["image"], ["image", "text"], ["audio", "text"], [],
    ]  # fmt: skip
    assert torch.equal(fake.calls[3]["prompts"]["audio"], fake.generate({}, ["audio"])["audio"][0])
    endings = ("text.txt", "image.png", "audio.wav", "video.gif")
    expected = {f"{i}-{e}" for i in range(1, 6) for e in endings} | {"handwritten.png", "any_to_any.png"}
    assert {p.name for p in tmp_path.iterdir()} == expected
    assert sum("as asked: " in line for line in lines) == 4  # nothing was asked in the fifth


def test_the_demo_reads_what_its_samples_show(data_dir):
    source = load(data_dir, "test")
    scene, renders = World(source).sample(8, torch.Generator().manual_seed(0))
    right = 0
    for i, words in enumerate(scene.words()):
        found = demo.read_sample({name: batch[i] for name, batch in renders.items()})
        assert found["image"]["colour"] == found["video"]["colour"] == words["colour"]
        assert found["audio"]["onset"] == int(scene.onset[i])
        right += {found[name]["digit"] for name in ("image", "audio", "video")} == {words["digit"]}
    assert right >= 7


def test_the_demos_digit_is_real_handwriting_in_the_worlds_framing():
    image, name = demo.handwritten()
    ys, xs = torch.nonzero(image.amax(0) > 0.3, as_tuple=True)
    assert name == "five"
    assert 14 <= max(ys.max() - ys.min(), xs.max() - xs.min()) + 1 <= 17
    assert image[1].max() == pytest.approx(1, abs=0.01) and image[0].max() < 0.2  # green
    assert demo.handwritten(colour="white")[0][0].max() == pytest.approx(1, abs=0.01)


# ---- the contact sheet


def test_contact_sheet_draws_every_item_and_grows_with_rows(fake, tmp_path):
    sample = {k: v[0] for k, v in fake.generate({}, list(arguments.PROMPTS)).items()}
    row = {"title": "all", "prompts": {k: [v] for k, v in sample.items()}, "outputs": sample}
    sizes, inks = [], []
    for rows in ([row], [row, {**row, "outputs": {}}], [row, row]):
        with Image.open(contact_sheet(rows, tmp_path / "sheet.png")) as page:
            sizes.append(page.size)
            inks.append(sum(count for count, _ in page.convert("L").point(lambda v: v < 250).getcolors()[1:]))
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] < sizes[1][1] == sizes[2][1]
    assert inks[0] < inks[1] < inks[2]


def test_contact_sheet_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([], tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="smell"):
        contact_sheet([{"title": "", "prompts": {}, "outputs": {"smell": 1}}], tmp_path / "sheet.png")
