"""The judges: two small networks that say which digit is shown or spoken, whatever the colour or voice."""

from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from codi_minimal.autoencoders.mel import LogMel
from codi_minimal.checkpoint import load_into, read_tensors, write_tensors

JUDGES_FILE = "judges.safetensors"


class DigitNet(nn.Module):
    """A four-layer CNN: a picture of one channel to a digit.

    The maximum over places makes it indifferent to position; `rows` keeps some rows of the picture apart, because high
    and low bands of a spectrogram differ in meaning.
    """

    def __init__(self, rows: int = 1):
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out in ((1, 16), (16, 32), (32, 64), (64, 64)):
            conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(c_out), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers[:-1], nn.AdaptiveMaxPool2d((rows, 1)), nn.Flatten())
        self.neck = nn.Sequential(nn.Linear(64 * rows, 64), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits "b 10" and the features under them "b 64" of pictures x "b 1 h w"."""
        features = self.neck(self.body(x))
        return self.head(features), features


class Judges(nn.Module):
    """Both classifiers with what they look at; each method gives (logits "b 10", features "b d")."""

    def __init__(self) -> None:
        super().__init__()
        self.image_net = DigitNet()
        self.audio_net = DigitNet(rows=4)
        self.log_mel = LogMel()

    def image(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Digit of images "b 3 h w": the brightest channel is the ink, so the colour does not matter."""
        return self.image_net(x.amax(1, keepdim=True))

    def video(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Digit of clips "b f 3 h w": the mean of its frames' log-probabilities.

        Features, "b 2d": the mean over frames, and the last frame's less the first's (what the motion did).
        """
        logits, features = self.image(rearrange(x, "b f c h w -> (b f) c h w"))
        logits = rearrange(logits.log_softmax(-1), "(b f) k -> b f k", b=len(x)).mean(1)
        features = rearrange(features, "(b f) d -> b f d", b=len(x))
        return logits, torch.cat([features.mean(1), features[:, -1] - features[:, 0]], 1)

    def audio(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Digit spoken in waveforms "b s", by their log-mel spectrogram."""
        return self.audio_net(self.log_mel(x))

    @property
    def looks(self) -> dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        """The modalities with a classifier, and how each is looked at."""
        return {"image": self.image, "audio": self.audio, "video": self.video}

    @torch.no_grad()
    def look(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits, features) of a batch of the modality `name`, in pieces that fit a small memory.

        Values that are not finite are looked at as zeros: garbage is judged, not refused.
        """
        if name not in self.looks:
            raise ValueError(f"expected a modality with a classifier, one of {tuple(self.looks)}, got {name!r}")
        parts = [self.looks[name](part) for part in torch.nan_to_num(x, 0.0, 0.0, 0.0).split(256)]
        logits, features = map(torch.cat, zip(*parts, strict=True))
        return logits, features

    def save(self, path: str | Path) -> None:
        """Write the weights in half precision, safetensors."""
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in self.state_dict().items()}
        write_tensors(Path(path), tensors)

    @classmethod
    def load(cls, path: str | Path) -> "Judges":
        """Read what `save` wrote. ValueError: the file is missing, cut short, not these networks', or not finite."""
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, only to be replaced
            judges = cls()
        try:
            load_into(judges, read_tensors(Path(path))[0])
        except ValueError as error:
            expected = f"expected the judges' weights at {path}, as `train_classifiers` writes them"
            raise ValueError(f"{expected}: {error}") from error
        return judges.eval()
