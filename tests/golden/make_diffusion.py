"""Writes diffusion.json: what codi_minimal.diffusion must compute, by the papers' equations.

It imports nothing of the package, and only `json` and `math`: rewrite it in any language to test a port.
    python tests/golden/make_diffusion.py > tests/golden/diffusion.json
Inputs, j = 0 … 5:  z0_j = sin(0.1 j),  eps_j = cos(0.2 j),  z_T_j = cos(0.5 j + 1),
noise_j of step i = 0, 1, …: sin(0.7 i + 0.3 j + 2).
The "network" outputs 0.6 z_j - 0.2 t / T, read as v or as eps.  T = 1000, t zero-based.
"""

import json
import math

T, N = 1000, 6
TIMES = [0, 1, 250, 500, 998, 999]


def betas(name):
    if name == "linear":
        return [1e-4 + (0.02 - 1e-4) * t / (T - 1) for t in range(T)]
    if name == "scaled_linear":
        low, high = math.sqrt(0.00085), math.sqrt(0.012)
        return [(low + (high - low) * t / (T - 1)) ** 2 for t in range(T)]
    f = [math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(T + 1)]
    return [min(1 - f[t + 1] / f[t], 0.999) for t in range(T)]


def alpha_bars(name):
    out, product = [], 1.0
    for beta in betas(name):
        product *= 1 - beta
        out.append(product)
    return out


def network(z, t):
    return [0.6 * x - 0.2 * t / T for x in z]


def predict_z0(prediction, output, z, ab):
    if prediction == "v":
        return [math.sqrt(ab) * x - math.sqrt(1 - ab) * v for x, v in zip(z, output, strict=True)]
    return [(x - math.sqrt(1 - ab) * e) / math.sqrt(ab) for x, e in zip(z, output, strict=True)]


def run(name, sampler, steps, prediction, eta):
    """DDPM, eq. 7; DDIM, eq. 12 and 16; DPM-Solver++, algorithm 2. Timesteps: Lin et al. 2023, trailing."""
    ab = alpha_bars(name)
    times = [round(T - i * T / steps) - 1 for i in range(steps)]
    z, before = [math.cos(0.5 * j + 1) for j in range(N)], None
    for i, t in enumerate(times):
        z0 = predict_z0(prediction, network(z, t), z, ab[t])
        if i == steps - 1:
            return z0
        now, after = ab[t], ab[times[i + 1]]
        noise = [math.sin(0.7 * i + 0.3 * j + 2) for j in range(N)]
        ratio = now / after
        variance = (1 - after) / (1 - now) * (1 - ratio)
        if sampler == "ddpm":
            a, b = math.sqrt(after) * (1 - ratio) / (1 - now), math.sqrt(ratio) * (1 - after) / (1 - now)
            z = [a * p + b * x + math.sqrt(variance) * n for p, x, n in zip(z0, z, noise, strict=True)]
        elif sampler == "ddim":
            eps = [(x - math.sqrt(now) * p) / math.sqrt(1 - now) for x, p in zip(z, z0, strict=True)]
            tau = eta * math.sqrt(variance)
            b = math.sqrt(1 - after - tau**2)
            z = [math.sqrt(after) * p + b * e + tau * n for p, e, n in zip(z0, eps, noise, strict=True)]
        else:
            lam = [math.log(math.sqrt(ab[s] / (1 - ab[s]))) for s in times]
            h, D = lam[i + 1] - lam[i], z0
            if i > 0:
                r = (lam[i] - lam[i - 1]) / h
                D = [(1 + 0.5 / r) * p - 0.5 / r * q for p, q in zip(z0, before, strict=True)]
            a, b = math.sqrt((1 - after) / (1 - now)), math.sqrt(after) * (1 - math.exp(-h))
            z, before = [a * x + b * d for x, d in zip(z, D, strict=True)], z0


def vectors():
    z0 = [math.sin(0.1 * j) for j in range(N)]
    eps = [math.cos(0.2 * j) for j in range(N)]
    schedules, process, samples = {}, [], []
    for name in ("linear", "scaled_linear", "cosine"):
        beta, ab = betas(name), alpha_bars(name)
        schedules[name] = {"beta": [beta[t] for t in TIMES], "alpha_bar": [ab[t] for t in TIMES]}
        for t in (0, 500, 999):
            alpha, sigma, prev = math.sqrt(ab[t]), math.sqrt(1 - ab[t]), ab[t - 1] if t else 1.0
            z_t = [alpha * x + sigma * e for x, e in zip(z0, eps, strict=True)]
            v = [alpha * e - sigma * x for x, e in zip(z0, eps, strict=True)]
            a, b = math.sqrt(prev) * beta[t] / (1 - ab[t]), math.sqrt(1 - beta[t]) * (1 - prev) / (1 - ab[t])
            mean = [a * x + b * y for x, y in zip(z0, z_t, strict=True)]
            variance = (1 - prev) / (1 - ab[t]) * beta[t]
            errors = [(p - w) ** 2 for p, w in zip(network(z_t, t), v, strict=True)]
            row = {"schedule": name, "t": t, "z_t": z_t, "v": v, "posterior_mean": mean}
            row |= {"posterior_variance": variance, "loss_v": sum(errors) / N}
            process.append(row)
    for sampler, eta in (("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.5), ("dpm-solver++", 0.0)):
        for name, prediction, steps in (
            ("cosine", "v", 10),
            ("scaled_linear", "epsilon", 7),
            ("linear", "v", 1),
        ):
            row = {"sampler": sampler, "eta": eta, "schedule": name, "prediction": prediction, "steps": steps}
            samples.append(row | {"z0": run(name, sampler, steps, prediction, eta)})
    guidance = [
        {"g": g, "output": [e + g * (x - e) for x, e in zip(z0, eps, strict=True)]} for g in (0.0, 1.0, 3.5)
    ]
    return {
        "times": TIMES,
        "schedules": schedules,
        "process": process,
        "samples": samples,
        "guidance": guidance,
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
