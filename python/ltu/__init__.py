"""LTU Engine: ask LTU-style audio language models about sound.

model = ltu.load("model.gguf")
[answer] = model.generate("Is [AUDIO] a type of bird?", audio="bird.wav")
"""

from importlib.metadata import PackageNotFoundError, version

from ltu.audio import SAMPLE_RATE, Clip, load_audio
from ltu.errors import AudioError, Error, ModelFileError, PromptError
from ltu.model import Model, load
from ltu.prompt import AUDIO, PromptSequence
from ltu.query import Answer, Distribution, Query
from ltu.readings import Reading
from ltu.sampling import Sampling

try:
    __version__ = version("ltu-engine")
except PackageNotFoundError:  # run from the source tree
    __version__ = "0"

__all__ = [
    "AUDIO",
    "SAMPLE_RATE",
    "Answer",
    "AudioError",
    "Clip",
    "Distribution",
    "Error",
    "Model",
    "ModelFileError",
    "PromptError",
    "PromptSequence",
    "Query",
    "Reading",
    "Sampling",
    "load",
    "load_audio",
]
