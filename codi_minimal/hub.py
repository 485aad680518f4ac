"""The Hugging Face hub: weights go there together with a model card."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from codi_minimal.checkpoint import digest, fingerprint, load_folder
from codi_minimal.inputs import HUB_NAME, check_flag

CARD_NAMES = ("MODEL_CARD.md", "README.md")  # as training writes it, and as the hub shows it
METADATA = """---
library_name: codi-minimal
pipeline_tag: any-to-any
tags: [diffusion, multimodal, codi, arxiv:2305.11846]
{datasets}---

"""
SHORT_CARD = """# codi-minimal, preset {preset}

CoDi (Tang et al. 2023, https://arxiv.org/abs/2305.11846): {modalities}, any to any. {size:,} parameters.

It is not recorded what these weights were trained on, nor which licences the data has.
"""
EXAMPLE = """
## Use
```python
from codi_minimal import CoDi

model = CoDi.from_pretrained("")
out = model.generate(outputs={outputs})
```
"""


def metadata(datasets: Iterable[str] = ()) -> str:
    """The first lines of a model card, YAML that the hub reads; datasets: names of those on the hub.

    The licence of the weights is for their owner to add.
    """
    names = ", ".join(datasets)
    return METADATA.format(datasets=f"datasets: [{names}]\n" if names else "")


class HubMixin:
    """For a model that has `save_pretrained`, and of which `loaded_from` is the folder that it was loaded from."""

    loaded_from: Path | None = None

    def push_to_hub(self, repo_id: str, dtype: str | None = None, private: bool | None = None) -> str:
        """Upload weights, config.json and a model card to "user/name" on the hub; returns the address.

        The repository is made if it is missing. The token is that of `hf auth login` or of HF_TOKEN. The card is the
        one beside the weights that the model was loaded from, if they are still the same; else a short one.

        Args:
            dtype: "float16" halves the weights. private: of a new repository; None: as the hub has it set.

        Raises:
            ValueError: another repo_id, dtype or private, weights that are not finite, no network, or no token that may
                write.
        """
        if not isinstance(repo_id, str) or not HUB_NAME.fullmatch(repo_id):
            raise ValueError(f'expected a repository of the hub, as "user/name", got {repo_id!r}')
        if private is not None:
            check_flag("private", private)
        from huggingface_hub import HfApi

        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, dtype)
            Path(folder, "README.md").write_bytes(self.model_card(repo_id).encode())
            try:
                address = HfApi().create_repo(repo_id, private=private, exist_ok=True)
                HfApi().upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with codi-minimal")
            except Exception as error:  # the hub has many kinds of errors, some of several lines
                came = " ".join(str(error).split()) or type(error).__name__
                raise ValueError(
                    f"expected a network, and a token that may write to {repo_id} (`hf auth login`); got: {came}"
                ) from error
        return str(address)

    def model_card(self, repo_id: str) -> str:
        """The card that `push_to_hub` uploads. It says what is known about the weights and how to load them."""
        names, size = list(self.modalities), sum(p.numel() for p in self.parameters())
        short = SHORT_CARD.format(preset=self.config.name, modalities=", ".join(names), size=size)
        card = self._card_beside() or metadata() + short
        card = card if card.startswith("---\n") else metadata() + card
        card += "" if "CoDi.from_pretrained(" in card else EXAMPLE.format(outputs=json.dumps(names))
        return re.sub(r'CoDi\.from_pretrained\(".*?"\)', f'CoDi.from_pretrained("{repo_id}")', card)

    def _card_beside(self) -> str:
        """The card in the folder that the model was loaded from; "" without one, or if the weights have changed."""
        if self.loaded_from is None:
            return ""
        cards = [path for name in CARD_NAMES if (path := self.loaded_from / name).is_file()]
        if not cards:
            return ""
        try:
            same = digest(load_folder(self.loaded_from)[0]) == fingerprint(self)
        except ValueError:  # the weights there are gone or damaged
            return ""
        return cards[0].read_text(encoding="utf-8") if same else ""
