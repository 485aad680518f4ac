"""Makes 0-primitives.json: small cases of every operation, by its formula, in plain Python and without torch.

`python -m conformance.make_primitives` writes it again. Inputs are sines, so that a port can make them, too; they are
in the file all the same. Nothing here is quick: a convolution is seven loops.
"""

import json
import math
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("0-primitives.json")
CASES: list[dict[str, Any]] = []


def case(title: str, op: str, /, **inputs: Any) -> Callable[[Callable[..., Any]], None]:
    """Adds a case whose output is what the decorated function gives for the inputs."""

    def add(f: Callable[..., Any]) -> None:
        CASES.append({"case": title, "op": op, "inputs": inputs, "output": f(**inputs)})

    return add


def sines(*shape: int, a: float = 0.7, b: float = 0.0, scale: float = 1.0) -> Any:
    """scale · sin(a i + b) for i = 0, 1, … in a nested list of this shape."""
    n, *rest = shape
    size = math.prod(rest)
    if not rest:
        return [scale * math.sin(a * i + b) for i in range(n)]
    return [sines(*rest, a=a, b=b + a * size * k, scale=scale) for k in range(n)]


def at(x: Any, *index: int) -> float:
    """An entry of nested lists, 0 outside."""
    for i in index:
        if not 0 <= i < len(x):
            return 0.0
        x = x[i]
    return x


def conv(x: Any, weight: Any, bias: list[float], stride: int, padding: int) -> Any:
    """y[b, o, i, j] = bias[o] + Σ weight[o, c, u, v] x[b, c, s i + u − p, s j + v − p]"""
    o, c, k = len(weight), len(weight[0]), len(weight[0][0])
    n = [(len(x[0][0]) + 2 * padding - k) // stride + 1, (len(x[0][0][0]) + 2 * padding - k) // stride + 1]
    return [[[[
        bias[m] + sum(weight[m][q][u][v] * at(x[s], q, stride * i + u - padding, stride * j + v - padding)
                      for q, u, v in product(range(c), range(k), range(k)))
        for j in range(n[1])] for i in range(n[0])] for m in range(o)] for s in range(len(x))]  # fmt: skip


for kernel, stride, padding in ((3, 1, 1), (3, 2, 1), (4, 2, 1), (5, 2, 2), (1, 1, 0)):
    case(
        f"conv {kernel}x{kernel}, stride {stride}", "conv",
        x=sines(1, 2, 6, 8), weight=sines(3, 2, kernel, kernel, a=0.9), bias=sines(3, b=1), stride=stride,
        padding=padding,
    )(conv)  # fmt: skip


def moments(x: list[float]) -> tuple[float, float]:
    mean = sum(x) / len(x)
    return mean, sum((value - mean) ** 2 for value in x) / len(x)


def layer_norm(x: Any, weight: list[float], bias: list[float]) -> Any:
    rows = []
    for row in x:
        mean, variance = moments(row)
        rows.append(
            [(v - mean) / math.sqrt(variance + 1e-5) * w + b for v, w, b in zip(row, weight, bias, strict=True)]
        )
    return rows


def group_norm(x: Any, weight: list[float], bias: list[float]) -> Any:
    """8 groups; x is (1, c, l)."""
    (sample,), size = x, len(x[0]) // 8
    out = []
    for c, row in enumerate(sample):
        group = [value for other in sample[size * (c // size) : size * (c // size) + size] for value in other]
        mean, variance = moments(group)
        out.append([(value - mean) / math.sqrt(variance + 1e-5) * weight[c] + bias[c] for value in row])
    return [out]


for title, scale in (("", 1.0), (" of small variance, which tells 1e-5 from 1e-6", 3e-3)):
    affine = {"weight": sines(16, b=1), "bias": sines(16, b=2)}
    case(f"layer norm{title}", "layer_norm", x=sines(3, 16, scale=scale), **affine)(layer_norm)
    case(f"group norm{title}", "group_norm", x=sines(1, 16, 5, scale=scale), **affine)(group_norm)

points = [i / 4 for i in range(-20, 21)]
case("gelu, exact", "gelu", x=points)(lambda x: [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
case("silu", "silu", x=points)(lambda x: [v / (1 + math.exp(-v)) for v in x])


@case("time embedding", "time_embedding", t=[0, 1, 500, 999], width=16)
def _(t: list[int], width: int) -> Any:
    angles = [[s * 10_000 ** (-i / (width // 2)) for i in range(width // 2)] for s in t]
    return [[*map(math.cos, row), *map(math.sin, row)] for row in angles]


def matmul(x: Any, w: Any) -> Any:
    """x wᵀ"""
    return [[sum(a * b for a, b in zip(row, other, strict=True)) for other in w] for row in x]


@case(
    "attention of two heads, keys before values", "attention",
    x=sines(1, 3, 64), context=sines(1, 4, 6, b=1), q=sines(64, 64, a=1.3, scale=0.2), kv=sines(128, 6, a=1.1),
    out=sines(64, 64, a=0.6, scale=0.2), bias=sines(64),
)  # fmt: skip
def _(x: Any, context: Any, q: Any, kv: Any, out: Any, bias: list[float]) -> Any:
    queries, both, heard = matmul(x[0], q), matmul(context[0], kv), []
    for row in queries:
        joined: list[float] = []
        for head in range(2):
            part = slice(32 * head, 32 * head + 32)
            scores = [
                sum(a * b for a, b in zip(row[part], key[:64][part], strict=True)) / math.sqrt(32) for key in both
            ]
            weights = [math.exp(score - max(scores)) for score in scores]
            values = [value[64:][part] for value in both]
            joined += [sum(w * v[i] for w, v in zip(weights, values, strict=True)) / sum(weights) for i in range(32)]
        heard.append(joined)
    return [[[a + b for a, b in zip(row, bias, strict=True)] for row in matmul(heard, out)]]


@case("pixel shuffle", "pixel_shuffle", x=sines(1, 8, 2, 3))
def _(x: Any) -> Any:
    return [
        [[[x[0][4 * c + 2 * (i % 2) + j % 2][i // 2][j // 2] for j in range(6)] for i in range(4)] for c in range(2)]
    ]


@case("latent shift, eight chunks", "latent_shift", x=sines(1, 8, 16, 1, 1))
def _(x: Any) -> Any:
    return [[[[[x[0][f - c // 2][c][0][0] if f >= c // 2 else 0.0]] for c in range(16)] for f in range(8)]]


@case("changes beside a frame", "with_motion", x=sines(1, 8, 2, 1, 1))
def _(x: Any) -> Any:
    z = [[frame[c][0][0] for c in range(2)] for frame in x[0]]
    before = [[a - b for a, b in zip(z[f], z[f - 1], strict=True)] if f else [0.0, 0.0] for f in range(8)]
    return [[[[[v]] for v in before[f] + z[f] + (before[f + 1] if f < 7 else [0.0, 0.0])] for f in range(8)]]


@case("clock codes of eight times", "clock_code", n=8)
def _(n: int) -> Any:
    times = [(k + 0.5) / n for k in range(n)]
    turns = [[math.pi * k * u for k in range(1, 9)] for u in times]
    return [[value / math.sqrt(8) for value in (*map(math.cos, row), *map(math.sin, row))] for row in turns]


def cut(x: Any, py: int, px: int) -> Any:
    """Rows and columns of patches of py × px places, each with its features (c p q)."""
    c, h, w = len(x), len(x[0]), len(x[0][0])
    return [[
        [x[e][i + p][j + q] for e, p, q in product(range(c), range(py), range(px))] for j in range(0, w, px)
    ] for i in range(0, h, py)]  # fmt: skip


@case("patches of text", "patches", name="text", x=sines(1, 2, 3))
def _(name: str, x: Any) -> Any:
    return [[[[x[0][e][i] for e in range(2)] for i in range(3)]]]


@case("patches of an image", "patches", name="image", x=sines(1, 2, 4, 4))
def _(name: str, x: Any) -> Any:
    return [[[patch for row in cut(x[0], 2, 2) for patch in row]]]


@case("patches of a sound, times first", "patches", name="audio", x=sines(1, 2, 8, 3))
def _(name: str, x: Any) -> Any:
    rows = cut(x[0], 4, 1)
    return [[[rows[i][j] for i in range(2)] for j in range(3)]]


@case("patches of a video", "patches", name="video", x=sines(8, 1, 4, 8))
def _(name: str, x: Any) -> Any:
    return [[[patch for row in cut(frame, 4, 4) for patch in row] for frame in x]]


def mel_filter(m: int, k: int, scale: str) -> float:
    to_mel: Callable[[float], float] = {
        "htk": lambda f: 2595 * math.log10(1 + f / 700),
        "slaney": lambda f: 3 * f / 200 if f < 1000 else 15 + 27 * math.log(f / 1000) / math.log(6.4),
    }[scale]
    to_hz: Callable[[float], float] = {
        "htk": lambda mel: 700 * (10 ** (mel / 2595) - 1),
        "slaney": lambda mel: 200 * mel / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27),
    }[scale]
    low, middle, high = (to_hz((m + i) * to_mel(4000.0) / 65) for i in range(3))
    f = 4000 * k / 256
    height = max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle)))
    return height * 2 / (high - low) if scale == "slaney" else height


for scale in ("slaney", "htk"):
    bands = [0, 1, 20, 40, 63]
    case(f"mel filters, {scale}", "filters", scale=scale, bands=bands)(
        lambda scale, bands: [[mel_filter(m, k, scale) for k in range(257)] for m in bands]
    )


def reflected(x: list[float], i: int) -> float:
    return x[-i if i < 0 else 2 * (len(x) - 1) - i if i >= len(x) else i]


@case(
    "magnitudes of the STFT of sin(0.3 i) (1 + i / 8192)",
    "stft_magnitude",
    samples=8192,
    frames=[0, 1, 30, 63],
    bins=[0, 5, 24, 25, 100, 256],
)  # noqa: E501
def _(samples: int, frames: list[int], bins: list[int]) -> Any:
    x = [math.sin(0.3 * i) * (1 + i / 8192) for i in range(samples)]
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / 256) for i in range(256)]
    out = []
    for k in bins:
        row = []
        for n in frames:
            part = [window[i] * reflected(x, 128 * n - 128 + i) for i in range(256)]
            real = sum(v * math.cos(2 * math.pi * k * (i + 128) / 512) for i, v in enumerate(part))
            imaginary = sum(v * math.sin(2 * math.pi * k * (i + 128) / 512) for i, v in enumerate(part))
            row.append(math.hypot(real, imaginary))
        out.append(row)
    return out


def trailing(T: int, steps: int) -> list[int]:
    return [math.floor((2 * T * (steps - i) + steps) / (2 * steps)) - 1 for i in range(steps)]


def alpha_bars(T: int) -> list[float]:
    f = [math.cos((u / T + 0.008) / 1.008 * math.pi / 2) ** 2 for u in range(T + 1)]
    table, product_ = [], 1.0
    for t in range(T):
        product_ *= 1 - min(1 - f[t + 1] / f[t], 0.999)
        table.append(product_)
    return table


def shifted(times: list[int], shift: float) -> list[int]:
    table = alpha_bars(1000)
    wanted = [table[t] / (table[t] + shift**2 * (1 - table[t])) for t in times]
    return [next((s for s in range(1000) if table[s] <= w), 999) for w in wanted]


def restart(steps: int) -> list[int]:
    k = math.floor(0.3 * steps + 0.5)
    times = trailing(1000, steps - k)
    m = min(sum(t > 300 for t in times), steps - k - 1)
    back = [math.floor((2 * (649 * (k - j) + times[m] * j) + k) / (2 * k)) for j in range(k)]
    return times[:m] + back + times[m:]


for steps in (7, 8, 10, 15, 16, 32, 48):
    case(f"{steps} timesteps", "timesteps", steps=steps)(lambda steps: trailing(1000, steps))
for steps in (4, 8, 30, 40):
    case(f"{steps} timesteps of restart", "restart_timesteps", steps=steps)(restart)
case("timesteps of restart, shifted by 2", "restart_timesteps", steps=40, shift=2.0)(
    lambda steps, shift: shifted(restart(steps), shift)
)
case("alpha bar", "alpha_bar", t=[0, 1, 250, 500, 750, 998, 999])(lambda t: [alpha_bars(1000)[s] for s in t])

WORDS = ["a", "an", "one", "red", "seven"]


def ids(texts: list[str], vocabulary: list[str], max_words: int) -> Any:
    rows = []
    for text in texts:
        letters = "".join(c if c.isalnum() else " " for c in text.lower())
        words = [4 + vocabulary.index(word) if word in vocabulary else 3 for word in letters.split()]
        rows.append([1, *words, 2] + [0] * (max_words - len(words)))
    return rows


case(
    "ids of captions", "tokenizer_encode", vocabulary=WORDS, max_words=12,
    texts=["a red seven", "A RED, seven!", "a green_seven", "red", "a a a a a a a a a a a a"],
)(ids)  # fmt: skip
case("articles", "spell_articles", texts=["an red one", "a eight", "a one", "an hour and a orange"])(
    lambda texts: ["a red one", "an eight", "a one", "a hour and an orange"]
)


def words_of(seed: int, n: int) -> list[int]:
    """The first outputs of MT19937."""
    state = [seed & 0xFFFFFFFF]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + i) & 0xFFFFFFFF)
    for i in range(624):
        y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
        state[i] = state[(i + 397) % 624] ^ y >> 1 ^ (y & 1) * 0x9908B0DF
    out = []
    for y in state[:n]:
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        out.append(y ^ y >> 18)
    return out


for seed, name, use in ((0, "image", ""), (7, "text", ""), (2**40 + 3, "video", "steps")):

    @case(f"noise of the seed {seed}, {name} {use}".strip(), "noise", seed=seed, modality=name, use=use, n=32)
    def _(seed: int, modality: str, use: str, n: int) -> list[float]:
        text = f"{modality} {use}".strip().encode()
        u = [(word & 0xFFFFFF) / 2**24 for word in words_of((seed * 1_000_003 + zlib.crc32(text)) % 2**63, n)]
        values = []
        for block in range(0, n, 16):
            radius = [math.sqrt(-2 * math.log(1 - u[block + j])) for j in range(8)]
            values += [radius[j] * math.cos(2 * math.pi * u[block + j + 8]) for j in range(8)]
            values += [radius[j] * math.sin(2 * math.pi * u[block + j + 8]) for j in range(8)]
        return values


def rate(i: int, steps: int, lr: float) -> float:
    """The learning rate of step i."""
    warmup = min(100, steps // 2)
    return lr * (i + 1) / warmup if i < warmup else lr / 2 * (1 + math.cos(math.pi * (i - warmup) / (steps - warmup)))


for steps in (9, 1000):

    @case(f"learning rates of {steps} steps", "learning_rate", steps=steps, lr=0.002, at=[0, 1, 3, 4, 5, 8, steps - 1])
    def _(steps: int, lr: float, at: list[int]) -> list[float]:
        return [rate(i, steps, lr) for i in at]


@case("decay of the average", "average_decay", at=[0, 1, 100, 8989, 8990, 20000])
def _(at: list[int]) -> list[float]:
    return [min(0.999, (1 + i) / (10 + i)) for i in at]


def gradients_of(i: int) -> list[list[float]]:
    """Of two tensors at step i, together longer than 1 at first; one number is as small as AdamW's ε."""
    return [sines(2, b=i, scale=1.5 - i / 4), [*sines(2, b=i + 1, scale=1.5 - i / 4), 1e-8 * math.sin(i + 1)]]


@case(
    "AdamW and the average", "train", theta=[sines(2), sines(3, b=1)], lr=0.1, gradients=[*map(gradients_of, range(6))]
)
def _(theta: list[list[float]], gradients: list[list[list[float]]], lr: float) -> list[list[float]]:
    """All numbers of both tensors after the last step, and their averages."""
    weights = [*theta[0], *theta[1]]
    average, first, second = list(weights), [0.0] * len(weights), [0.0] * len(weights)
    for i, of_tensors in enumerate(gradients):
        gradient = [*of_tensors[0], *of_tensors[1]]
        scale = min(1.0, 1 / (math.sqrt(sum(g * g for g in gradient)) + 1e-6))
        for j, g in enumerate(scale * g for g in gradient):
            first[j] = 0.9 * first[j] + 0.1 * g
            second[j] = 0.99 * second[j] + 0.01 * g * g
            upwards, size = first[j] / (1 - 0.9 ** (i + 1)), math.sqrt(second[j] / (1 - 0.99 ** (i + 1)))
            weights[j] -= rate(i, len(gradients), lr) * upwards / (size + 1e-8)
            keep = min(0.999, (1 + i) / (10 + i))
            average[j] = keep * average[j] + (1 - keep) * weights[j]
    return [weights, average]


def uniforms(*shape: int, b: float) -> Any:
    """As `sines`, in (0, 1)."""
    n, *rest = shape
    return [0.5 + 0.49 * math.sin(7 * i + b) if not rest else uniforms(*rest, b=b + 3 * i) for i in range(n)]


# five samples of three true prompts and one that says nothing about them; the names of the numbers are those of SPEC.md
@case(
    "mixture of prompts", "mixture", prompts=sines(4, 5, 6), u=uniforms(4, 5, b=0), kept=uniforms(4, 5, b=1),
    certain=[0, 2, 1, 1, 0], u_certain=uniforms(5, b=2), kind=[0.9, 0.3, 0.55, 0.7, 0.95],
    unit=[0.2, 0.9, 0.9, 0.8, 0.1], noise=sines(5, 6, a=1.3), null=[0.5, 0.5, 0.5, 0.5, 0.05],
)  # fmt: skip
def _(
    prompts: Any, u: Any, kept: Any, certain: Any, u_certain: Any, kind: Any, unit: Any, noise: Any, null: Any
) -> Any:
    mixtures = []
    for s in range(len(kind)):
        w = [-math.log(1 - u[k][s]) * (kept[k][s] < 0.6) for k in range(len(prompts))]
        w[certain[s]] += 0.3 + u_certain[s]
        if kind[s] < 0.6:  # the first prompt alone below .4, else the second
            w = [float(k == (kind[s] >= 0.4)) for k in range(len(prompts))]
        mean = [sum(w[k] * prompts[k][s][j] for k in range(len(w))) / sum(w) for j in range(len(noise[s]))]
        length = math.sqrt(sum(x * x for x in mean)) if unit[s] < 0.5 else 1.0
        mixtures.append([(x / length + 0.02 * e) * (null[s] >= 0.1) for x, e in zip(mean, noise[s], strict=True)])
    return mixtures


def write(path: Path = FILE) -> None:
    """All cases, one a line."""
    lines = ",\n".join(json.dumps(entry) for entry in CASES)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    write()
