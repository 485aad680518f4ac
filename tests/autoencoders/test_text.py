from itertools import product

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.autoencoders.text import TextVAE, hide_words
from codi_minimal.tokenizer import BOS, EOS, PAD, UNK, WordTokenizer

COLOURS = ["red", "green", "blue", "white"]
DIGITS = ["one", "two", "three", "four"]
CAPTIONS = [" ".join(words) for words in product(("a", "the"), COLOURS, DIGITS)]
TOKENIZER = WordTokenizer(["a", "the", *COLOURS, *DIGITS], max_words=5)


def small(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TextVAE(TOKENIZER, width=32, layers=1, heads=2, latent=(4, 3), **options)


def noise(n, seed=0):
    return torch.randn(n, 4, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def trained():
    model = small(kl_weight=0.01)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(200):
        order = torch.randperm(32, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        model.loss([CAPTIONS[i] for i in order], noise(32, step))["loss"].backward()
        optimiser.step()
    return model.eval()


def test_learns_32_captions_by_heart(trained):
    assert trained.decode(trained.encode(CAPTIONS)) == CAPTIONS


def test_its_latents_bear_a_diffuser_s_error(trained):
    z = trained.encode(CAPTIONS)
    near = trained.decode(z + 0.1 * z.std() * noise(32, 999))
    assert sum(a == b for a, b in zip(near, CAPTIONS, strict=True)) >= 30


def test_decode_undoes_encode_at_any_scale(trained):
    before = trained.encode(CAPTIONS)
    trained.fit_scale(before)
    after = trained.encode(CAPTIONS)
    assert after.std().item() == pytest.approx(1, abs=1e-4)
    assert trained.decode(after) == CAPTIONS


def test_decoding_does_not_depend_on_the_rest_of_the_batch(trained):
    z = trained.encode(CAPTIONS)
    assert [trained.decode(row[None])[0] for row in z[:6]] == trained.decode(z)[:6]


def test_two_training_runs_agree_bit_for_bit():
    losses = []
    for _ in range(2):
        model = small()
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(3):
            optimiser.zero_grad()
            loss = model.loss(CAPTIONS, noise(32, step))["loss"]
            loss.backward()
            optimiser.step()
        losses.append(loss.item())
    assert losses[0] == losses[1]


def test_later_words_do_not_change_earlier_scores():
    model, z = small().eval(), noise(1)
    ids = TOKENIZER.encode(["a red one"])
    changed = ids.clone()
    changed[0, 3] = TOKENIZER.encode(["two"])[0, 1]
    a, b = model.logits(z, ids), model.logits(z, changed)
    torch.testing.assert_close(a[:, :3], b[:, :3])
    assert not torch.allclose(a[:, 3:], b[:, 3:])


def test_scores_depend_on_the_latent():
    model, ids = small().eval(), TOKENIZER.encode(["a red one"])
    assert not torch.allclose(model.logits(noise(1, 0), ids), model.logits(noise(1, 1), ids))


def test_padding_does_not_reach_the_posterior():
    model = small().eval()
    mean, _ = model.posterior(["a red one"])
    with torch.no_grad():
        model.embedding.weight[PAD] += 1
    torch.testing.assert_close(model.posterior(["a red one"])[0], mean)


def test_reconstruction_is_the_likelihood_of_the_words():
    model, z = small().eval(), noise(2)
    ids = TOKENIZER.encode(CAPTIONS[:2])
    log_p = F.log_softmax(model.logits(z, ids[:, :-1]), -1)  # b n v
    words = 4  # three, and EOS
    expected = -sum(log_p[b, n, ids[b, n + 1]] for b in range(2) for n in range(words)) / 2
    torch.testing.assert_close(model.reconstruction(CAPTIONS[:2], z), expected)


def test_encode_is_the_scaled_mean():
    model = small().eval()
    model.scale_factor.fill_(2)
    torch.testing.assert_close(model.encode(CAPTIONS), 2 * model.posterior(CAPTIONS)[0])


def test_an_untrained_decoder_writes_only_words_and_stops():
    model = small().eval()
    texts = model.decode(3 * noise(16))
    assert all("<" not in text and len(text.split()) <= 6 for text in texts)


def test_a_caption_without_an_end_has_no_word_more_than_can_be_encoded(monkeypatch):
    model = small().eval()
    logits, never = model.logits, torch.zeros(len(model.tokenizer)).index_fill(0, torch.tensor(EOS), -torch.inf)
    monkeypatch.setattr(model, "logits", lambda z, ids: logits(z, ids) + never)
    texts = model.decode(3 * noise(16))
    assert {len(text.split()) for text in texts} == {model.tokenizer.length - 2}
    model.encode(texts)


def test_word_dropout_hides_its_share_of_words_and_only_words():
    ids = torch.full((500, 13), 7)
    ids[:, 0], ids[:, 10:] = BOS, PAD
    hidden = hide_words(ids, 0.3) == UNK
    assert hidden[:, 1:10].float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert hidden[:, 1:10].float().mean(0).std() < 0.02  # no place is favoured
    assert not hidden[:, 0].any() and not hidden[:, 10:].any()


def test_words_are_hidden_from_the_decoder_in_training_alone():
    model, z, seen = small(), noise(32), []
    logits = model.logits
    model.logits = lambda z, ids: (seen.append(ids), logits(z, ids))[1]
    for training in (True, False):
        model.train(training).reconstruction(CAPTIONS, z)
    assert (seen[0] == UNK).any() and torch.equal(seen[1], TOKENIZER.encode(CAPTIONS)[:, :-1])


def test_every_parameter_belongs_to_a_child_and_gets_a_gradient():
    model = small()
    model.loss(CAPTIONS, noise(32))["loss"].backward()
    assert not model._parameters
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    "captions, said", [("a red one", "list"), ([""], "1 to 5"), ([3], "string"), (["a red one a red one"], "1 to 5")]
)
def test_bad_captions_are_refused(captions, said):
    with pytest.raises(ValueError, match=said):
        small().encode(captions)


def test_bad_latents_are_refused():
    with pytest.raises(ValueError, match="got "):
        small().decode(torch.zeros(1, 3, 4))


def test_bad_width_is_refused():
    with pytest.raises(ValueError, match="expected width to be a multiple of heads = 3, got 32"):
        TextVAE(TOKENIZER, width=32, heads=3)
