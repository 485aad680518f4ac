import torch
from torch.nn import functional as F

from codi_minimal.alignment import wire

GENERATOR = torch.Generator().manual_seed(0)
TOKENS = {name: torch.randn(2, n, 32, generator=GENERATOR) for name, n in (("video", 12), ("text", 4), ("audio", 12))}
Q, K, V = (torch.randn(3, n, 8, generator=GENERATOR) for n in (5, 7, 7))
PRESENT = torch.tensor([[True] * 7, [True, False] * 3 + [True], [False] * 7])


def test_each_stream_sees_what_it_sees_in_the_package(answer, close):
    mine, packages = answer.others(TOKENS), wire(TOKENS)
    assert mine.keys() == packages.keys()
    for name in TOKENS:
        close(
            mine[name], packages[name].tokens, "all others, in the order of their names, joined on the axis of tokens."
        )


def test_a_change_of_one_stream_reaches_all_others_and_not_itself(answer):
    changed = {**TOKENS, "audio": TOKENS["audio"] + 1}
    before, after = answer.others(TOKENS), answer.others(changed)
    assert {name for name in TOKENS if not torch.equal(before[name], after[name])} == {"text", "video"}


def test_a_stream_by_itself_sees_nothing_and_the_order_of_streams_has_no_effect(answer):
    assert answer.others({"text": TOKENS["text"]}) == {"text": None}
    turned = answer.others(dict(reversed(TOKENS.items())))
    assert all(torch.equal(env, turned[name]) for name, env in answer.others(TOKENS).items())


def test_attention_is_torchs_with_a_key_of_zeros(answer, close):
    silent = F.pad(PRESENT, (1, 0), value=True)[:, None]
    expected = F.scaled_dot_product_attention(Q, F.pad(K, (0, 0, 1, 0)), F.pad(V, (0, 0, 1, 0)), attn_mask=silent)
    hint = "one key and one value of zeros come first, and are always present; scores are divided by √d."
    close(answer.attend(Q, K, V, PRESENT), expected, hint)


def test_what_is_absent_has_no_effect_and_where_all_is_absent_the_result_is_zero(answer, close):
    noisy = K + 9 * ~PRESENT[..., None], V + 9 * ~PRESENT[..., None]
    hint = "set the scores of what is absent to minus infinity, before the softmax."
    close(answer.attend(Q, *noisy, PRESENT), answer.attend(Q, K, V, PRESENT), hint)
    assert (answer.attend(Q, K, V, PRESENT)[2] == 0).all()
