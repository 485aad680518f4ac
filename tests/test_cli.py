"""The command line, with a fake model: files in, files out, one line for every error."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from codi_minimal import CoDi, arguments, cli, demo, inputs, media
from codi_minimal.config import preset
from codi_minimal.data import load
from codi_minimal.data.world import World
from codi_minimal.device import sample_seed
from codi_minimal.recipe import find_recipe
from codi_minimal.recipes import PAPER, RECIPES
from tests.media.making import film
from tests.models import random_codi

ROOT = Path(__file__).parents[1]


class Fake:
    """Remembers what it was asked; gives a gradient, a tone, a moving bar and a caption."""

    def __init__(self):
        self.calls, self.config = [], preset("tiny")

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
    options = ["--weights", "text=1", "audio=0.5", "--seed", 3, "--steps", 7, "--no-joint"]
    code, lines, _ = run(capsys, "generate", *given, "--to", "image", "video", "--out", out, *options)
    assert code == 0
    call = fake.calls[0]
    assert call["prompts"]["text"] == [["a red seven"]]
    assert (call["prompts"]["image"][0] - picture).abs().max() < 0.01
    assert call["prompts"]["audio"][0].shape == (8192,) and "video" not in call["prompts"]
    assert call["outputs"] == ("image", "video") and call["weights"] == {"text": 1.0, "audio": 0.5}
    assert (call["seed"], call["steps"], call["joint"]) == ([3], 7, False) and "guidance" not in call
    assert [Path(line).name for line in lines] == ["001-image.png", "001-video.mp4", "001-sheet.png"]
    written = media.read_video(out / "001-video.mp4")
    assert (written - fake.generate({}, ["video"])["video"][0]).abs().mean() < 0.02


def test_generate_takes_several_prompts_of_a_modality_and_a_text_file(fake, capsys, tmp_path):
    (tmp_path / "caption.txt").write_text("sliding left\n")
    given = ["--text", "seven", "--text", tmp_path / "caption.txt"]
    run(capsys, "generate", *given, "--to", "text", "--out", tmp_path)
    assert fake.calls[0]["prompts"] == {"text": [["seven"], ["sliding left"]]}


@pytest.mark.filterwarnings("default")
def test_what_a_prompt_says_in_vain_is_one_line_of_warning(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "_model", lambda args: random_codi())
    options = ["--to", "image", "--steps", 1, "--num", 2, "--out", tmp_path]
    code, lines, err = run(capsys, "generate", "--text", "a wooden purple 7", *options)
    assert code == 0 and len(lines) == 3
    assert err == "warning: text: this world has no 'purple', but magenta and blue; ignored 'wooden'\n"


def test_given_streams_are_read_as_prompts_are_and_all_the_others_are_outputs(fake, capsys, tmp_path, monkeypatch):
    sheets = []
    monkeypatch.setattr("codi_minimal.sheet.contact_sheet", lambda rows, *_: sheets.extend(rows))
    media.write_wav(tmp_path / "me.wav", 0.5 * torch.sin(torch.arange(8192) / 4))
    given = ["--given", f"audio={tmp_path / 'me.wav'}", "--given", "text=a red = seven", "--text", "two"]
    code, lines, _ = run(capsys, "generate", *given, "--out", tmp_path / "out", "--seed", 3)
    assert code == 0
    call = fake.calls[0]
    assert call["given"]["text"] == "a red = seven" and call["given"]["audio"].shape == (8192,)
    assert torch.equal(call["given"]["audio"], media.read_audio(tmp_path / "me.wav"))
    assert call["prompts"] == {"text": [["two"]]} and call["outputs"] == ("image", "video")
    assert [Path(line).name for line in lines[:-1]] == ["001-image.png", "001-video.mp4"]
    (row,) = sheets
    assert row["title"] == "text + given audio + given text → image + video"
    assert row["prompts"]["text"] == ["two", "a red = seven"] and len(row["prompts"]["audio"]) == 1
    run(capsys, "generate", "--text", "two", "--out", tmp_path / "out")
    assert fake.calls[1]["given"] is None and fake.calls[1]["outputs"] == ("text", "image", "audio", "video")


def test_generate_writes_clips_with_sound_or_as_gif(fake, capsys, tmp_path):
    run(capsys, "generate", "--to", "audio", "video", "--out", tmp_path)
    waves = [media.read_audio(tmp_path / name) for name in ("001-audio.wav", "001-video.mp4")]
    assert torch.corrcoef(torch.stack(waves))[0, 1] > 0.95
    _, lines, _ = run(capsys, "generate", "--to", "audio", "video", "--gif", "--out", tmp_path)
    assert [Path(line).name for line in lines[:-1]] == ["002-audio.wav", "002-video.gif"]


@pytest.mark.parametrize("how", ["prompt", "given"])
def test_a_clip_gives_its_sound_from_the_same_time_on(fake, capsys, tmp_path, how):
    path = film(tmp_path / "me.mp4")
    asked = ["--video", path] if how == "prompt" else ["--given", f"video={path}"]
    run(capsys, "generate", *asked, "--with-sound", "--start", 3, "--to", "text", "--out", tmp_path / "out")
    call = fake.calls[0]
    read = {"audio": media.read_audio(path, 3), "video": media.read_video(path, 3)}
    came = call["given"] if how == "given" else {name: items[0] for name, items in call["prompts"].items()}
    assert set(came) == set(read) and all(torch.equal(came[name], read[name]) for name in read)
    run(capsys, "generate", *asked, "--start", 2, "--to", "text", "--out", tmp_path / "out")
    call = fake.calls[1]
    assert list(call["given"] if how == "given" else call["prompts"]) == ["video"]


def test_without_a_start_the_sound_of_a_clip_starts_with_it(fake, capsys, tmp_path):
    path = film(tmp_path / "me.mp4", begins=0.4)
    run(capsys, "generate", "--video", path, "--with-sound", "--to", "text", "--out", tmp_path / "out")
    assert torch.equal(fake.calls[0]["prompts"]["audio"][0], media.read_audio(path, 0.0))


def test_what_is_given_and_also_an_output_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "_model", lambda args: random_codi())
    for options, message in (
        (["--to", "text"], "got 'text', which is an output"),
        (["--no-joint"], "joint: expected True"),
    ):
        code, _, err = run(capsys, "generate", "--given", "text=seven", *options, "--out", tmp_path / "out")
        assert code == 2 and message in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_generate_without_prompts_is_unconditional_and_numbers_go_up(fake, capsys, tmp_path):
    for _ in range(2):
        assert run(capsys, "generate", "--to", "text", "--num", 2, "--out", tmp_path)[0] == 0
    assert fake.calls[0]["prompts"] == {} and fake.calls[0]["num"] == 2
    names = sorted(p.name for p in tmp_path.iterdir())
    texts = [f"00{i}-text.txt" for i in (1, 2, 3, 4)]
    assert names == sorted([*texts, "001-sheet.png", "003-sheet.png", ".lock"])


WRITING = [["generate"], ["train"], ["evaluate"], ["judges"], ["experiment", "probe"], ["demo"]]
BAD = [
    ([], "error: the following arguments are required"),
    (["dance"], "error: argument"),
    (["generate", "--to", "smell"], "invalid choice: 'smell'"),
    (["generate", "--to"], "expected at least one argument"),
    (["generate", "--num", "0"], "--num: expected a whole number from 1 to 10000, got '0'"),
    (["generate", "--num", "²"], "--num: expected a whole number from 1 to 10000, got '²'"),
    (["generate", "--num", "1000000"], "--num: expected a whole number from 1 to 10000"),
    (["generate", "--guidance", "inf"], "--guidance: expected a number"),
    (["generate", "--recipe", "soup"], "--recipe: invalid choice: 'soup' (choose from"),
    (["generate", "--weights", "text"], "NAME=NUMBER"),
    (["generate", "--weights", "smell=1"], "NAME=NUMBER with a name out of text, image, audio, video"),
    (["generate", "--weights", "text=-1"], "expected a number from 0"),
    (["generate", "--given", "clip.gif"], "--given: expected NAME=FILE with a name out of text, image, audio, video"),
    (["generate", "--given", "smell=clip.gif"], "--given: expected NAME=FILE with a name out of"),
    (["generate", "--given", "video="], "--given: expected NAME=FILE with a name out of"),
    (["generate", "--given", "video=gone.gif"], "gone.gif: expected a clip"),
    (["generate", "--given", "text=\udcff"], "text: expected a caption in UTF-8"),
    (["generate", "--given", "text=a", "--given", "text=b"], "--given: expected each modality once, got text, text"),
    (["generate", "--text", "a", "--weights", "text=1", "text=2"], "--weights: expected each modality once, got text"),
    (
        ["generate", *(x for name in ("text", "image", "audio", "video") for x in ("--given", f"{name}=gone"))],
        "--given: expected a modality that is left to generate, got all four",
    ),
    (["generate", "--text", "seven", "--with-sound"], "--with-sound: expected a clip in --video or --given, got none"),
    (["generate", "--text", "seven", "--start", "2"], "--start: expected a clip or a recording"),
    (["generate", "--video", "a.gif", "--start", "-1"], "--start: expected a number from 0 to 36000"),
    (
        ["generate", "--given", "video=a.mp4", "--given", "audio=a.wav", "--with-sound"],
        "--given: expected each modality once, got video, audio, audio",
    ),
    (["generate", "--text", "seven \udcff"], "text: expected a caption in UTF-8"),
    (["generate", "--text", "gone.TXT"], "gone.TXT: expected a UTF-8 text file"),
    (["evaluate", "--samples", "1000000000"], "--samples: expected a whole number from 2 to 5000"),
    (["evaluate", "--cells", "1000000000"], "--cells: expected a whole number from 1 to 5000"),
    (["evaluate", "--recipe", "soup"], "invalid choice: 'soup'"),
    (["demo", "--autocast", "fp8"], "invalid choice: 'fp8'"),
    (["evaluate", "--workers", "100000"], "--workers: expected a whole number from 1 to 256"),
    (["experiment", "probe", "--samples", "1000000000"], "--samples: expected a whole number from 1 to 5000"),
    (["generate", "--image", "gone.png"], "gone.png: expected a picture"),
    (["generate", "--audio", __file__], "expected a recording"),
    *[([*verb, "--out", __file__], "--out: expected a folder that can be written") for verb in WRITING],
    (["generate", "--out", f"{__file__}/out"], "--out: expected a folder that can be written"),
    *[
        ([*verb, "--seed", seed], "--seed: expected a whole number from 0 to 4611686018427387903")
        for verb in WRITING
        for seed in ("-1", str(2**62), "9" * 5000)
    ],
    (["check", "--device", "abacus"], "abacus"),
    (["train", "--estimate", "--stages", "joint"], "expected none with --estimate"),
    (["train", "--estimate", "--further"], "--further: expected none with --estimate"),
    (["train", "--further", "--synthetic-voices"], "--synthetic-voices: expected only without --further"),
    (["train", "--steps", "3"], "--steps: expected only with --further"),
    (["train", "--estimate", "--workers", "2"], "--workers: expected none with --estimate"),
    (["train", "--workers", "2", "--stages", "joint"], "--workers: expected only without --stages"),
    (["benchmark", "--rounds", "0"], "--rounds: expected a whole number from 1 to 1000"),
    (["train", "--further", "--device", "cpu"], "expected stages out of prompts-text-image"),
    (["train", "--further", "--stages", "autoencoder-image", "--device", "cpu"], "got ['autoencoder-image']"),
    (["check", "--device", "cpu", "--data", "nowhere"], "mnist-test.parquet"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: " ".join(value)[:30])
def test_errors_are_one_line_and_exit_code_two(fake, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 2 and err.startswith("error: ") and message in err and err.count("\n") == 1
    assert not fake.calls and not list(tmp_path.iterdir())


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
    def fail(rows, path, count):
        raise OSError("no space left on device")

    monkeypatch.setattr("codi_minimal.sheet.contact_sheet", fail)
    code, lines, err = run(capsys, "generate", "--to", "text", "--out", tmp_path)
    assert code == 2 and err == "error: no space left on device\n"
    assert media.read_text(lines[0]) == "a green one"


def refuse(error, after=0):
    """A fake model's `generate` that raises after some calls."""
    made = Fake()

    def generate(*args, **options):
        if len(made.calls) == after:
            raise error
        return made.generate(*args, **options)

    return generate


def test_what_the_model_refuses_leaves_no_folder(fake, capsys, tmp_path):
    fake.generate = refuse(ValueError("weights: expected others"))
    assert run(capsys, "generate", "--out", tmp_path / "new" / "out")[2] == "error: weights: expected others\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [RuntimeError("no\nroom"), MemoryError(), RecursionError("deep"), KeyError("a")])
def test_what_nobody_expected_is_one_line_and_a_traceback_if_asked(fake, capsys, tmp_path, monkeypatch, error):
    fake.generate = refuse(error)
    code, _, err = run(capsys, "generate", "--out", tmp_path)
    assert code == 2 and err.startswith(f"error: unexpected {type(error).__name__}:") and err.count("\n") == 1
    assert " ".join(str(error).split()) in err and "CODI_DEBUG=1" in err
    monkeypatch.setenv("CODI_DEBUG", "1")
    code, _, err = run(capsys, "generate", "--out", tmp_path)
    assert code == 2 and err.startswith("Traceback") and "in refuse" not in err and "in generate" in err
    assert err.splitlines()[-1].startswith("error: unexpected")


def test_many_samples_are_made_and_written_in_batches(fake, capsys, tmp_path, monkeypatch):
    sheets = []
    monkeypatch.setattr("codi_minimal.sheet.contact_sheet", lambda rows, path, count: sheets.append((len(rows), count)))
    written = []
    write = media.write_sample
    monkeypatch.setattr(media, "write_sample", lambda *a, **k: written.append(len(fake.calls)) or write(*a, **k))
    code, lines, _ = run(capsys, "generate", "--to", "text", "--num", 130, "--seed", 5, "--out", tmp_path)
    assert code == 0 and [call["num"] for call in fake.calls] == [64, 64, 2]
    assert [seed for call in fake.calls for seed in call["seed"]] == [sample_seed(5, k) for k in range(130)]
    assert written == [1] * 64 + [2] * 64 + [3] * 2  # the first batch is on disk before the second is made
    assert [Path(line).name for line in lines[:-1]] == [f"{k:03d}-text.txt" for k in range(1, 131)]
    assert sheets == [(20, 130)]


def test_another_run_in_the_same_folder_takes_other_numbers(fake, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "BATCH", 2)
    inner, made = fake.generate, []

    def generate(*args, **options):
        if len(made) == 1:  # between our batches another run writes its files
            (tmp_path / "003-text.txt").write_text("another", encoding="utf-8")
        made.append(1)
        return inner(*args, **options)

    monkeypatch.setattr(fake, "generate", generate)
    code, lines, _ = run(capsys, "generate", "--num", 4, "--to", "text", "--out", tmp_path)
    assert code == 0 and (tmp_path / "003-text.txt").read_text(encoding="utf-8") == "another"
    assert [Path(line).name[:3] for line in lines] == ["001", "002", "004", "005", "001"]


def test_closed_streams_are_no_error(fake, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["generate", "--to", "text", "--out", str(tmp_path)]) == 0
    assert cli.main(["generate", "--to", "smell"]) == 2
    assert (tmp_path / "001-text.txt").exists()


def test_a_link_to_nowhere_is_no_folder(fake, capsys, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    code, _, err = run(capsys, "generate", "--to", "text", "--out", tmp_path / "link")
    assert code == 2 and "expected a folder that can be written" in err and not fake.calls


def test_a_batch_that_fails_leaves_those_before_it(fake, capsys, tmp_path):
    fake.generate = refuse(RuntimeError("no memory"), after=1)
    code, lines, _ = run(capsys, "generate", "--to", "text", "--num", 65, "--out", tmp_path)
    assert code == 2 and len(lines) == 64 and all(media.read_text(line) == "a green one" for line in lines)


def in_a_process(body: str, **environment) -> subprocess.Popen:
    """The command line with `check` replaced: a process of its own has a stdout of its own."""
    code = f"def check(args): {body}\nimport sys; from codi_minimal import cli\ncli.check = check\n"
    code += "sys.exit(cli.main(['check']))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, **pipes)


def test_a_broken_pipe_ends_quietly():
    process = in_a_process("[print('x' * 1000) for _ in range(1000)]")
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141


def test_a_path_outside_the_consoles_code_page_is_printed_all_the_same():
    out, err = in_a_process("print('caf\u00e9 \u6570')", PYTHONIOENCODING="cp1252").communicate()
    assert out.split() == [b"caf\xe9", b"\\u6570"] and err == b""


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
        "codi_minimal.asked_training.estimate", lambda *a, **k: asked.append(a) or {"caches": 1.5, "joint": 2.0}
    )
    code, lines, _ = run(capsys, "train", "--preset", "tiny", "--data", "d", "--device", "cpu", "--estimate")
    assert code == 0 and asked == [("tiny", "d", "cpu")]
    assert [line.split()[:2] for line in lines] == [["caches", "1.5"], ["joint", "2.0"], ["all", "3.5"]]


def test_train_and_evaluate_pass_on_what_they_are_given(fake, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("codi_minimal.training.stages.train", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setattr("codi_minimal.evaluation.evaluate.evaluate", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setattr("codi_minimal.data.load", lambda *a: a)
    fake.config = SimpleNamespace(train=SimpleNamespace(split_seed=7))
    training = ["--preset", "tiny", "--data", "d", "--out", "o", "--device", "cpu", "--stages", "vocoder"]
    assert run(capsys, "train", *training)[0] == 0
    assert run(capsys, "evaluate", "--data", "d", "--quick")[1] == ["results/report.md"]
    assert asked[0] == ((preset("tiny"), "d", "o"), {"device": "cpu", "stages": ["vocoder"]})
    monkeypatch.setattr("codi_minimal.asked_training.train_side_by_side", lambda *a, **k: asked.append((a, k)))
    assert run(capsys, "train", *training[:-2], "--workers", 3)[0] == 0
    assert asked.pop() == ((preset("tiny"), "d", "o", "cpu"), {"workers": 3})
    run(capsys, "train", *training, "--synthetic-voices")
    assert asked.pop(2)[0][0] == replace(preset("tiny"), train=replace(preset("tiny").train, synthetic_voices=True))
    assert asked[1][0] == (fake, ("d", "test", 7), "results") and asked[1][1]["quick"] is True
    assert asked[1][1]["chosen"] == {}
    run(capsys, "evaluate", "--data", "d", "--recipe", "paper", "--autocast", "bf16", "--workers", 3, "--cells", 2)
    assert asked[2][1]["chosen"] == {"recipe": "paper", "autocast": "bf16"} and asked[2][1]["workers"] == 3
    assert asked[2][1]["cells"] == 2 and asked[1][1]["cells"] is None
    run(capsys, "evaluate", "--checkpoint", "runs/x", "--split", "validation")
    assert asked[3][0][1] == (None, "validation", 7)
    assert asked[3][1]["chosen"] == {"checkpoint": "runs/x"}


def test_play_serves_the_model_on_this_machine_alone(fake, capsys, monkeypatch):
    page = pytest.importorskip("codi_minimal.play.page", reason="Gradio is not installed")
    asked = []
    monkeypatch.setattr(page, "launch", lambda *a: asked.append(a))
    assert run(capsys, "play")[0] == 0
    assert run(capsys, "play", "--host", "0.0.0.0", "--port", 8000, "--checkpoint", "x", "--recipe", "paper")[0] == 0
    assert asked[0] == (fake, "127.0.0.1", None, {})
    assert asked[1] == (fake, "0.0.0.0", 8000, {"checkpoint": "x", "recipe": "paper"})


def test_play_without_gradio_says_what_to_install(fake, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "codi_minimal.play.page", raising=False)
    code, _, err = run(capsys, "play")
    assert code == 2 and err == "error: the playground needs Gradio: pip install 'codi-minimal[play]'\n"


@pytest.mark.parametrize("name", arguments.EXPERIMENTS)
def test_experiments_pass_on_what_they_are_given(fake, capsys, monkeypatch, tmp_path, name):
    asked = []
    monkeypatch.setattr(f"codi_minimal.experiments.{name}.{name}", lambda *a, **k: asked.append((a, k)))
    code, lines, _ = run(capsys, "experiment", name, "--data", "d", "--out", tmp_path, "--samples", 3)
    assert code == 0 and lines == [str(tmp_path / name / f"{name}.md")]
    assert asked == [((fake, "d", tmp_path / name), {"samples": 3, "seed": 0, "progress": False})]
    for option in cli.ONLY:
        code, _, err = run(capsys, "experiment", name, f"--{option}", "test" if option == "split" else 2)
        assert (code == 0) == (name in cli.ONLY[option]) == (option in asked[-1][1]) == (not err)


@pytest.mark.parametrize("verb", ["generate", "evaluate", "demo"])
def test_a_recipe_and_autocast_are_those_of_the_model(monkeypatch, verb):
    shipped = find_recipe("shipped")
    monkeypatch.setattr(CoDi, "from_pretrained", lambda *a, **k: SimpleNamespace(recipe=shipped))
    names = ("generate", "train", "evaluate", "judges", "experiment", "play", "export", "benchmark", "check", "demo")
    functions = [getattr(cli, name) for name in names]

    def recipe(*options):
        return cli._model(arguments.parser(*functions).parse_args([verb, *options])).recipe

    assert recipe() == shipped
    for name in arguments.RECIPES:
        assert recipe("--recipe", name) == find_recipe(name)
    assert recipe("--autocast", "bf16") == replace(shipped, autocast="bf16")
    assert recipe("--recipe", "paper", "--autocast", "bf16") == replace(PAPER, autocast="bf16")


def test_there_are_no_other_recipes():
    assert set(arguments.RECIPES) == set(RECIPES)


def test_judges_are_trained_and_tested(capsys, monkeypatch, tmp_path):
    from codi_minimal.evaluation import train_judges

    quick = partial(train_judges.train_classifiers, steps=2)
    monkeypatch.setattr(train_judges, "train_classifiers", quick)
    monkeypatch.setattr(train_judges, "judge_accuracy", partial(train_judges.judge_accuracy, n=20))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("CODI_DATA", raising=False)
    code, lines, _ = run(capsys, "judges", "--out", tmp_path)
    assert code == 0 and [line.split(":")[0] for line in lines] == ["image", "audio", "video"]
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"judges.safetensors", "judges.json"}


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
    endings = ("text.txt", "image.png", "audio.wav", "video.mp4")
    expected = {f"{i}-{e}" for i in range(1, 6) for e in endings} | {"handwritten.png", "any_to_any.png"}
    assert {p.name for p in tmp_path.iterdir()} == expected
    assert sum("as asked: " in line for line in lines) == 4  # nothing was asked in the fifth


def test_the_demos_seeds_stay_in_their_range(fake, tmp_path):
    demo.run(fake, tmp_path, seed=2**63 - 1)
    assert [call["seed"] for call in fake.calls] == [2**63 - 1, 0, 1, 2, 3]


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


def test_pairs_of_ones_own_are_trained_on_and_reported(fake, capsys, monkeypatch, tmp_path):
    for i in range(20):
        media.write_png(tmp_path / f"{i}.png", torch.full((3, 32, 32), i / 20))
        media.write_text(tmp_path / f"{i}.txt", "a red seven")
    asked = []
    for name in ("train", "train_further"):
        monkeypatch.setattr(f"codi_minimal.training.stages.{name}", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setattr("codi_minimal.asked_pairs.evaluate_pairs", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setattr(CoDi, "from_pretrained", lambda *a: fake)
    assert run(capsys, "train", "--preset", "tiny", "--pairs", tmp_path)[0] == 0
    new = asked[0][0][1]
    assert (new.fit, new.split, len(new.items)) == ("plain", "train", 18) and asked[0][0][0] == preset("tiny")
    model = replace(fake.config.model, max_words=3)
    fake.config = replace(fake.config, model=model, train=replace(fake.config.train, split_seed=4))
    code, _, err = run(capsys, "train", "--further", "--pairs", tmp_path, "--steps", 5)
    assert code == 2 and "got a blank picture" in err  # what is brought to digits is taken for one
    for i in range(20):
        picture = torch.zeros(3, 32, 32)
        picture[:, 8:24, 10 + i % 5 : 20] = 1
        media.write_png(tmp_path / f"{i}.png", picture)
    assert run(capsys, "train", "--further", "--pairs", tmp_path, "--steps", 5)[0] == 0
    (some, checkpoint, data, *_, steps), _ = asked[1]
    assert (some, checkpoint, steps) == (None, None, 5) and (data.fit, data.split_seed) == ("digits", 4)
    out = tmp_path / "results"
    asking = ["evaluate", "--pairs", tmp_path, "--out", out]
    code, lines, _ = run(capsys, *asking, "--samples", 9, "--recipe", "paper", "--workers", 2)
    assert code == 0 and lines == [str(out / "own-pairs.md")]
    (model, pairs, place), options = asked[2]
    assert model is fake and place == str(out) and (pairs.fit, pairs.split) == ("digits", "all")
    wanted = f"python -m codi_minimal evaluate --recipe paper --pairs {tmp_path} --samples 9 --seed 0"
    assert options == {"samples": 9, "seed": 0, "workers": 2, "command": wanted, "progress": False}
    for other in (["--quick"], ["--cells", 3], ["--data", "d"]):
        code, _, err = run(capsys, *asking, *other)
        assert code == 2 and err.startswith("error: --pairs: expected without --quick, --data and --cells")
    (tmp_path / "3.txt").write_text("a red seven goes")
    code, _, err = run(capsys, *asking)
    assert code == 2 and "expected a caption of 1 to 3 words, got 4" in err
    for verb in (["--further"], ["--estimate"], []):
        code, _, err = run(capsys, "train", "--pairs", tmp_path, *verb, "--synthetic-voices")
        assert code == 2 and "expected" in err
