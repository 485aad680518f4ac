import json

import pytest
import torch

from codi_minimal.data import load
from codi_minimal.evaluation.classifiers import JUDGES_FILE, DigitNet, Judges
from codi_minimal.evaluation.readers import JUDGES_FOLDER
from codi_minimal.evaluation.train_judges import _fit, judge_accuracy, train_classifiers


@pytest.mark.usefixtures("data_dir")
def test_the_shipped_judges_know_digits_they_were_not_trained_on(judges, source, tmp_path):
    report = judge_accuracy(judges, source, tmp_path, n=300)
    assert min(report["accuracy"].values()) >= 0.97, report
    assert json.loads((tmp_path / "judges.json").read_text()) == report
    assert min(json.loads((JUDGES_FOLDER / "judges.json").read_text())["accuracy"].values()) >= 0.97


def test_the_colour_does_not_matter_to_the_judges(judges, sample):
    _, renders = sample
    white = renders["image"].amax(1, keepdim=True).expand(-1, 3, -1, -1)
    assert torch.equal(judges.look("image", white)[0], judges.look("image", renders["image"])[0])


def test_nan_is_judged_and_an_unknown_modality_refused(judges):
    logits, features = judges.look("video", torch.full((2, 8, 3, 32, 32), float("nan")))
    assert logits.isfinite().all() and features.isfinite().all()
    with pytest.raises(ValueError, match="'smell'"):
        judges.look("smell", torch.zeros(1, 3))


def test_weights_are_small_and_come_back_as_they_were_saved(judges, sample, tmp_path):
    path = tmp_path / JUDGES_FILE
    judges.save(path)
    again = Judges.load(path)
    audio = sample[1]["audio"][:8]
    assert torch.equal(judges.look("audio", audio)[0], again.look("audio", audio)[0])
    assert path.stat().st_size <= 2**20
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="expected the judges' weights"):
        Judges.load(path)


def test_a_net_learns_one_batch_by_heart():
    torch.manual_seed(0)
    x, digit = torch.rand(20, 1, 32, 32), torch.arange(20) % 10
    net = DigitNet()
    net.head[0].p = 0.0  # of dropout
    _fit(net, lambda: (x, digit), 30, "")
    net.train()  # with the batch's own statistics, as in training
    assert (net(x)[0].argmax(1) == digit).all()


def test_training_depends_on_the_seed_alone_and_is_done_once(tmp_path, monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    source = load(split="train", hub=False)
    state = torch.random.get_rng_state()
    a, b = (train_classifiers(source, tmp_path / name, seed=3, steps=2) for name in "ab")
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    read = train_classifiers(source, tmp_path / "a", seed=4, steps=2)
    assert torch.equal(read.image_net.head[1].weight, a.image_net.head[1].weight)
