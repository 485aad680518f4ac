"""A sample depends on its seed and its prompts alone: not on its batch, nor on the process around it."""

import copy

import numpy as np
import pytest
import torch

from codi_minimal import CoDi, inputs
from codi_minimal.config import preset
from codi_minimal.data import VOCABULARY
from codi_minimal.device import sample_seed
from codi_minimal.diffusion import SAMPLERS
from tests.models import NAMES, random_codi

# another batch size sums in another order, and random weights enlarge that; another sample differs by about 1
ROUNDING = {"rtol": 0, "atol": 5e-2}
FAST = {"steps": 3, "guidance": 1.0}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("size", [2, 5])
def test_sample_k_of_a_batch_is_sample_k_alone(sampler, size):
    model = random_codi()
    batch = model.generate_latents({}, NAMES, num_samples=size, seed=7, sampler=sampler, **FAST)
    for k in (0, size - 1):
        alone = model.generate_latents({}, NAMES, seed=sample_seed(7, k), sampler=sampler, **FAST)
        for name in NAMES:
            torch.testing.assert_close(batch[name][k : k + 1], alone[name], **ROUNDING)


def test_a_list_has_one_seed_a_sample():
    model, seeds = random_codi(), [9, 4, 4]
    z = model.generate_latents({}, ("image",), num_samples=3, seed=seeds, **FAST)["image"]
    torch.testing.assert_close(z[1], z[2])
    torch.testing.assert_close(
        z[:1], model.generate_latents({}, ("image",), seed=9, **FAST)["image"], rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="one for each of 3 samples, got 2"):
        model.generate({}, ("image",), num_samples=3, seed=[1, 2])


def test_the_noise_of_a_sample_can_be_asked_for():
    model = random_codi()
    how = FAST | {"sampler": "ddim"}  # which adds no noise of its own
    made = model.generate_latents({}, ("image", "text"), num_samples=3, seed=5, **how)
    noise = {name: model.noise_of(5, 2)[name] for name in made}
    again = model.generate_latents({}, ("image", "text"), seed=1, noise=noise, **how)
    for name in made:
        torch.testing.assert_close(made[name][2:], again[name], rtol=1e-4, atol=1e-5)
    assert not torch.equal(model.noise_of(5, 1)["image"], noise["image"])
    starts = [z.flatten()[:16] for z in model.noise_of(5).values()]
    assert not any(torch.equal(a, b) for i, a in enumerate(starts) for b in starts[:i])  # no two outputs share it


def test_seeds_that_follow_one_another_share_no_sample():
    seeds = [sample_seed(seed, k) for seed in range(20) for k in range(20)]
    assert len(set(seeds)) == len(seeds)


def test_work_of_any_size_goes_in_batches_with_the_same_result(monkeypatch):
    model, prompts = random_codi(), {"text": ["seven", "a red two", "eight"], "audio": torch.rand(3, 8192) - 0.5}
    whole = model.generate(prompts, NAMES, num_samples=2, steps=2, guidance=1.5)
    monkeypatch.setattr(inputs, "BATCH", 2)
    sizes = []
    handle = model.modalities["image"].denoiser.register_forward_hook(lambda _m, args, _o: sizes.append(len(args[0])))
    parts = model.generate(prompts, NAMES, num_samples=2, steps=2, guidance=1.5)
    handle.remove()
    assert max(sizes) <= 4  # two samples with guidance
    assert parts["text"] == whole["text"] and len(parts["text"]) == 6
    for name in ("image", "video"):
        torch.testing.assert_close(parts[name], whole[name], **ROUNDING)


def test_given_noise_goes_to_its_own_sample_in_every_batch(monkeypatch):
    noise = {"image": torch.randn(5, 4, 8, 8)}
    whole = random_codi().generate_latents({}, ("image",), num_samples=5, noise=noise, **FAST)["image"]
    monkeypatch.setattr(inputs, "BATCH", 2)
    parts = random_codi().generate_latents({}, ("image",), num_samples=5, noise=noise, **FAST)["image"]
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_samples", [10**7, 10**9, 2**62])
def test_more_samples_than_memory_holds_are_refused_at_once(num_samples):
    limit = r"num_samples: expected at most [\d,]+ samples of these outputs \(2 GiB\), got"
    with pytest.raises(ValueError, match=limit):
        random_codi().generate({"text": "seven"}, NAMES, num_samples=num_samples)


def test_another_default_dtype_changes_nothing(tmp_path):
    random_codi().save_pretrained(tmp_path)
    expected = random_codi().generate({"text": "seven"}, NAMES, steps=2)
    try:
        torch.set_default_dtype(torch.float64)
        made = CoDi.from_pretrained(tmp_path, "cpu").generate({"text": "seven"}, NAMES, steps=2)
        same = random_codi().generate({"text": "seven"}, NAMES, steps=2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert made["text"] == same["text"] == expected["text"]
    for name in ("image", "video"):
        torch.testing.assert_close(same[name], expected[name], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(made[name], expected[name], **ROUNDING)


def test_loading_and_generating_leave_the_callers_random_generators_alone(tmp_path):
    random_codi().save_pretrained(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    CoDi.from_pretrained(tmp_path, "cpu").generate({}, ("image",), steps=1, sampler="ddpm")
    assert torch.equal(torch.rand(2), expected)


def test_numpy_integers_are_integers():
    model = random_codi()
    one = model.generate_latents({}, ("image",), steps=np.int64(2), seed=np.int64(3), num_samples=np.int64(2))
    same = model.generate_latents({}, ("image",), steps=2, seed=3, num_samples=2)
    assert torch.equal(one["image"], same["image"])


def test_a_model_that_predicts_epsilon_does_not_explode():
    """At T-1 an error of eps is divided by alpha = 5e-5; without the clip this ends at a deviation of thousands."""
    model = copy.deepcopy(random_codi())
    object.__setattr__(model.config.model, "prediction", "epsilon")
    for sampler in SAMPLERS:
        z = model.generate_latents({}, ("image",), num_samples=4, steps=8, sampler=sampler)["image"]
        assert z.std() < 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": torch.zeros(3, 32, 32)}, "prompts: expected a dict .* as keys, got Tensor"),
        ({"prompts": ["seven"]}, "prompts: expected a dict"),
        ({"prompts": {"image": torch.empty(3, 32, 32, device="meta")}}, "without data"),
        ({"outputs": None}, "outputs: expected a sequence of names"),
        ({"outputs": (["image"],)}, "expected a modality out of"),
        ({"prompts": {"text": "seven"}, "weights": [1]}, "weights: expected a dict"),
        ({"prompts": {"text": "seven"}, "weights": {"text": "1"}}, "weights: text: expected"),
        ({"noise": torch.zeros(1, 4, 8, 8)}, "noise: expected a dict"),
        ({"noise": {"image": torch.empty(1, 4, 8, 8, device="meta")}}, "without data"),
        ({"noise": {"image": torch.full((1, 4, 8, 8), 1e38)}}, "image: expected latents within"),
        ({"guidance": 1e30, "prompts": {"text": "seven"}, "steps": 3}, "image: expected latents within"),
        ({"sampler": []}, "sampler: expected one of"),
        ({"seed": b"ab"}, "seed: expected an integer"),
        ({"guidance": 10**400}, "guidance: expected a finite number"),
        ({"recipe": 3}, "recipe: expected one of .*, or a Recipe, got 3"),
        ({"recipe": []}, r"recipe: expected one of .*, or a Recipe, got \[\]"),
        ({"joint": "False"}, "joint: expected True or False, got 'False'"),
        ({"seed": "7"}, "seed: expected an integer from 0"),
        ({"seed": 2**63}, "seed: expected an integer from 0"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        random_codi().generate(**{"steps": 1, **settings})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type_are_refused(dtype):
    with pytest.raises(ValueError, match="weights of float32, got .*torch"):
        copy.deepcopy(random_codi()).to(dtype).generate({}, ("image",), steps=1)
    model = copy.deepcopy(random_codi())
    model.modalities["image"].denoiser.to(dtype)  # a part of it
    with pytest.raises(ValueError, match="weights of float32, got .*torch"):
        model.generate({}, ("image",), steps=1)


@pytest.mark.parametrize("config", ["tiny", None])
def test_a_model_needs_a_config(config):
    with pytest.raises(ValueError, match="config: expected a Config"):
        CoDi(config, VOCABULARY)
    CoDi(preset("tiny"), VOCABULARY)


def test_a_checkpoint_is_a_folder_or_a_hub_id():
    with pytest.raises(ValueError, match="expected a folder or a hub id, got 3"):
        CoDi.from_pretrained(3)
