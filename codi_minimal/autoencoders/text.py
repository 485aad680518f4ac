"""The text autoencoder: a caption as a short sequence of latent vectors, after Optimus (Li et al. 2020)."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from codi_minimal.autoencoders.base import Autoencoder
from codi_minimal.layers import PRE_NORM, transformer
from codi_minimal.tokenizer import BOS, EOS, PAD, UNK, WordTokenizer


def hide_words(ids: Tensor, share: float = 0.3) -> Tensor:
    """Replaces a share of the words "b n" by UNK, so that the decoder must rely on the latent.

    Bowman et al. 2016, section 3.1. The hidden places of a batch are a fixed quasi-random lattice. It needs no
    generator, because the captions of a batch are drawn at random.
    """
    row, column = torch.meshgrid(*(torch.arange(n, device=ids.device) for n in ids.shape), indexing="ij")
    hidden = (row * 0.7548776662 + column * 0.5698402910) % 1 < share  # b n
    return ids.masked_fill(hidden & (ids > UNK), UNK)


class TextVAE(Autoencoder):
    """A variational autoencoder with a transformer encoder and an autoregressive transformer decoder.

    reconstruction = -sum_n log p(w_n | w_<n, z), in nats a caption.

    CoDi, section 3.3 (text); Optimus, section 3. Optimus pools a caption into one vector. Here the encoder has l
    learned queries beside the words, and the decoder attends to l latent vectors.

    Args:
        tokenizer: captions to word ids "b n" and back.
        width, layers, heads: of both transformers.
        latent: (c, l): channels and positions of the latent.
        kl_weight: weight of the KL term, which is averaged over latent components.
    """

    def __init__(
        self,
        tokenizer: WordTokenizer,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        latent: tuple[int, int] = (8, 8),
        kl_weight: float = 0.1,
    ) -> None:
        super().__init__(latent, kl_weight)
        if width % heads:
            raise ValueError(f"expected width to be a multiple of heads = {heads}, got {width}")
        channels, positions = latent
        self.tokenizer = tokenizer

        def vectors(n: int) -> nn.Embedding:
            table = nn.Embedding(n, width)
            nn.init.normal_(table.weight, std=width**-0.5)
            return table

        self.embedding = vectors(len(tokenizer))  # shared by encoder, decoder and output
        self.encoder_positions, self.queries = vectors(tokenizer.length), vectors(positions)
        self.encoder = transformer(width, layers, heads, 2 * width)
        self.to_moments = nn.Linear(width, 2 * channels)
        self.from_latent = nn.Linear(channels, width)
        self.latent_positions, self.decoder_positions = vectors(positions), vectors(tokenizer.length)
        layer = nn.TransformerDecoderLayer(width, heads, 2 * width, **PRE_NORM)
        self.decoder = nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))

    def posterior(self, captions: list[str] | Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | w), each "b c l", before scaling. Captions may be word ids "b n".

        Raises:
            ValueError: if a caption is not a string, is empty or too long, or has no known word.
        """
        ids = captions if isinstance(captions, Tensor) else self._ids(captions)
        words = self.embedding(ids) + self.encoder_positions.weight  # b n d
        queries = repeat(self.queries.weight, "l d -> b l d", b=ids.shape[0])
        padding = F.pad(ids == PAD, (queries.shape[1], 0))  # b l+n: queries are never padding
        h = self.encoder(torch.cat([queries, words], dim=1), src_key_padding_mask=padding)
        moments = self.to_moments(h[:, : queries.shape[1]])  # b l 2c
        mean, logvar = rearrange(moments, "b l (two c) -> two b c l", two=2)
        return mean, logvar.clamp(-12, 4)  # keeps exp() finite

    def reconstruction(self, captions: list[str], z: Tensor) -> Tensor:
        """Negative log-likelihood of captions under unscaled latents z "b c l": nats a caption, a scalar."""
        ids = self._ids(captions)
        seen = hide_words(ids[:, :-1]) if self.training else ids[:, :-1]
        logits = rearrange(self.logits(z, seen), "b n v -> b v n")
        return F.cross_entropy(logits, ids[:, 1:], ignore_index=PAD, reduction="sum") / len(ids)

    def logits(self, z: Tensor, ids: Tensor) -> Tensor:
        """Scores of the word that follows each prefix of `ids`.

        Args:
            z: unscaled latents, "b c l".
            ids: words so far, BOS first, "b n".

        Returns:
            "b n v", v = len(tokenizer): entry n is for the word after ids[:, n].
        """
        n = ids.shape[1]
        future = torch.ones(n, n, dtype=torch.bool, device=ids.device).triu(1)
        memory = self.from_latent(rearrange(z, "b c l -> b l c")) + self.latent_positions.weight  # b l d
        words = self.embedding(ids) + self.decoder_positions.weight[:n]  # b n d
        # tgt_is_causal: else torch looks at the mask's values, which no export can
        h = self.decoder(words, memory, tgt_mask=future, tgt_is_causal=False)  # b n d
        return h @ self.embedding.weight.T  # b n v

    @torch.no_grad()
    def decode_raw(self, z: Tensor) -> list[str]:
        """Captions of unscaled latents "b c l": the likeliest word at every step, until all have ended."""
        ids = torch.full((len(z), 1), BOS, device=z.device)
        ended = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        while ids.shape[1] < self.tokenizer.length - 1 and not ended.all():  # all but EOS
            scores = self.logits(z, ids)[:, -1]  # b v
            for special in (PAD, BOS, UNK):  # a caption is made of words
                scores[:, special] = -torch.inf
            word = scores.argmax(-1).masked_fill(ended, PAD)
            ids = torch.cat([ids, rearrange(word, "b -> b 1")], dim=1)
            ended |= word == EOS
        return self.tokenizer.decode(ids)

    def _ids(self, captions: list[str]) -> Tensor:
        return self.tokenizer.encode(captions).to(self.scale_factor.device)
