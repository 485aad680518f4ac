"""codi-minimal: Composable Diffusion (CoDi, Tang et al. 2023) from scratch, any modalities in, any modalities out."""

from codi_minimal.codi import CoDi

__version__ = "0.1.0"
__all__ = ["CoDi", "__version__"]
