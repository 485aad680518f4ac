"""CoDi's inference of texts and images in JAX, one concept a file, with the names and shapes of the NumPy port.

Parameters are a flat dict of arrays by the checkpoint's names; `Params` is a view of it. What is no work of a network
comes from the NumPy port: reading the checkpoint, words and ids, the recipe, the loop over steps with its times and
coefficients (in float64), noise from a seed, the mixture of prompts, and how arrays are rearranged.
"""
