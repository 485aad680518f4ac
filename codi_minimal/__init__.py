"""codi-minimal: Composable Diffusion (CoDi, Tang et al. 2023) from scratch, any modalities in, any modalities out."""

__version__ = "0.1.0"
__all__ = ["CoDi", "__version__"]


def __getattr__(name: str):
    """`CoDi`, imported when it is first asked for: torch takes seconds, and the command line's --help none."""
    if name == "CoDi":
        from codi_minimal.codi import CoDi

        return CoDi
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
