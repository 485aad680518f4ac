"""Prompt encoders, their alignment to text, and the mixing of prompts (section 3.2 of the paper)."""

from .audio import AudioPromptEncoder
from .base import PromptEncoder
from .bridging import Temperature, clip_loss, composition_loss, repeated
from .gap import ModalityGap, modality_gap
from .image import ImagePromptEncoder
from .memory import CaptionMemory
from .mixing import mix, random_weights
from .openclip import OpenClipImage, OpenClipText
from .text import TextPromptEncoder
from .video import VideoPromptEncoder

__all__ = [
    "AudioPromptEncoder",
    "CaptionMemory",
    "ImagePromptEncoder",
    "ModalityGap",
    "OpenClipImage",
    "OpenClipText",
    "PromptEncoder",
    "Temperature",
    "TextPromptEncoder",
    "VideoPromptEncoder",
    "clip_loss",
    "composition_loss",
    "mix",
    "modality_gap",
    "random_weights",
    "repeated",
]
