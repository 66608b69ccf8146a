"""Text and recordings in the order in which a client sent them → a prompt and its clips."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ltu.audio import Clip
from ltu.model import Model
from ltu.prompt import AUDIO, Format, PromptSequence
from ltu.serve.clips import Clips
from ltu.serve.problems import Problem

Content = list[str | Clip]


def _whole(value: object) -> object:
    """JSON has one kind of numbers: 2.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Form(BaseModel):
    """What isn't named is refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Audio(Form):
    """A recording: WAV, FLAC, Ogg or MP3 in base64, told by its content; or the hash of one sent before."""

    data: str | None = None
    format: str | None = None
    hash: str | None = None


class AudioPart(Form):
    type: Literal["input_audio"]
    input_audio: Audio


class TextPart(Form):
    type: Literal["text", "input_text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = Field(None, description="Has no effect.")


def clip_of(audio: Audio, where: str, clips: Clips) -> Clip:
    """Raises Problem, AudioError."""
    if (audio.data is None) == (audio.hash is None):
        raise Problem(400, f"{where}: give either data or hash", where)
    if audio.hash is not None:
        return clips.of_hash(audio.hash, f"{where}.hash")
    assert audio.data is not None
    return clips.of_data(audio.data, f"{where}.data")


def text_of(text: str, where: str) -> str:
    """Text in which nobody has forged a place for a clip. Raises Problem."""
    if AUDIO in text:
        raise Problem(400, f"{where} holds {AUDIO}; send the recording there as an input_audio part", where)
    return text


def check_clip_count(content: Content, most: int, where: str) -> None:
    count = sum(isinstance(part, Clip) for part in content)
    if count > most:
        raise Problem(400, f"{where} holds {count} recordings; at most {most} are taken", where)


def sequence_of(model: Model, content: Sequence[str | Clip], format: Format, where: str) -> PromptSequence:
    """The parts joined in order, without anything between them. Raises Problem, PromptError."""
    clips = [part for part in content if isinstance(part, Clip)]
    place = AUDIO if format == "interleaved" else ""
    text = "".join(place if isinstance(part, Clip) else part for part in content)
    if text.count(AUDIO) != (len(clips) if place else 0):
        raise Problem(400, f"parts of {where} put together {AUDIO}; only a recording may stand for it", where)
    return model.prompter.sequence(text, clips, format)
