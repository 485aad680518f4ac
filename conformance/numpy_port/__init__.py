"""CoDi's inference in plain NumPy, one concept a file: the executable specification, and the simplest statement of it.

Shapes are written as in the package: b samples, c channels, h w sides, n places or tokens, d features, f frames.
"""
