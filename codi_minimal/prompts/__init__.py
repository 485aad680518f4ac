"""Prompt encoders, their alignment to text, and the mixing of prompts (section 3.2 of the paper)."""

from codi_minimal.prompts.audio import AudioPromptEncoder
from codi_minimal.prompts.base import PromptEncoder
from codi_minimal.prompts.bridging import Temperature, clip_loss, repeated
from codi_minimal.prompts.image import ImagePromptEncoder
from codi_minimal.prompts.mixing import mix
from codi_minimal.prompts.openclip import OpenClipImage, OpenClipText
from codi_minimal.prompts.text import TextPromptEncoder
from codi_minimal.prompts.video import VideoPromptEncoder

__all__ = [
    "AudioPromptEncoder", "ImagePromptEncoder", "OpenClipImage", "OpenClipText", "PromptEncoder",
    "Temperature", "TextPromptEncoder", "VideoPromptEncoder", "clip_loss", "mix", "repeated",
]  # fmt: skip
