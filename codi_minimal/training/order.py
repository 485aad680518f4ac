"""Which stages a stage needs. Those that do not need each other can be trained in any order, or at the same time."""

from collections.abc import Sequence

ENCODERS = ("autoencoder", "vocoder", "prompts")
# the kind of a stage -> the kinds whose stages it needs: it starts from their weights, or learns from what they encode
KINDS = {
    "autoencoder": (),
    "vocoder": (),
    "prompts": (),
    "denoiser": ENCODERS,
    "environment": ENCODERS,
    "joint": (*ENCODERS, "denoiser", "environment"),
    "beside": (*ENCODERS, "denoiser", "environment", "joint"),
}
STAGE_BEFORE = {"vocoder": "autoencoder-audio", "denoiser-video": "denoiser-image"}  # one stage, not all of its kind


def needs(name: str, names: Sequence[str]) -> list[str]:
    """The stages out of `names`, which are in their order, that a stage needs to be done.

    The first bridge trains C_text, to which all others are aligned. A stage of an unknown kind needs all before it.

    >>> names = ["autoencoder-image", "prompts-text-image", "prompts-text-audio", "denoiser-image", "joint"]
    >>> needs("prompts-text-audio", names), needs("denoiser-image", names)
    (['prompts-text-image'], ['autoencoder-image', 'prompts-text-image', 'prompts-text-audio'])
    """
    before = list(names[: names.index(name)])
    kinds = KINDS.get(kind := name.split("-")[0])
    if kinds is None:
        return before
    found = {other for other in before if other.split("-")[0] in kinds} | {STAGE_BEFORE.get(name)}
    found |= set([other for other in before if other.split("-")[0] == "prompts"][:1] if kind == "prompts" else ())
    return [other for other in before if other in found]
