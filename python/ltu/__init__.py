"""LTU Engine: ask LTU-style audio language models about sound.

model = ltu.load("model.gguf")
[answer] = model.generate("Is [AUDIO] a type of bird?", audio="bird.wav")
"""

from ltu.audio import Clip, load_audio
from ltu.defaults import SAMPLE_RATE
from ltu.errors import AudioError, Error, ModelFileError, PromptError
from ltu.model import Model, load
from ltu.prompt import AUDIO, PromptSequence
from ltu.query import (
    Answer,
    Decisions,
    Distribution,
    Exact,
    Likely,
    Query,
    Sample,
    Score,
    Token,
    TokenLogprobs,
)
from ltu.readings import Options, Reading
from ltu.sampling import Sampling
from ltu.submit import Ticket
from ltu.version import __version__

__all__ = [
    "AUDIO",
    "SAMPLE_RATE",
    "Answer",
    "AudioError",
    "Clip",
    "Decisions",
    "Distribution",
    "Error",
    "Exact",
    "Likely",
    "Model",
    "ModelFileError",
    "Options",
    "PromptError",
    "PromptSequence",
    "Query",
    "Reading",
    "Sample",
    "Sampling",
    "Score",
    "Ticket",
    "Token",
    "TokenLogprobs",
    "__version__",
    "load",
    "load_audio",
]
