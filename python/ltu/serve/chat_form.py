"""POST /v1/chat/completions as a client sends it: what is taken, and what only in its neutral form."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ltu.serve.content import AudioPart, Form, TextPart, Whole

Role = Literal["user", "system", "developer", "assistant", "tool", "function"]
Part = Annotated[TextPart | AudioPart, Field(discriminator="type")]
Neutral = Annotated[float, Field(ge=0, le=0)]
NO_EFFECT = "Has no effect."


class Message(Form):
    role: Role
    content: str | list[Part] | None = None
    name: str | None = Field(None, description=NO_EFFECT)


class StreamOptions(Form):
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class TextFormat(Form):
    type: Literal["text"]


class Extension(Form):
    """Ours."""

    format: Literal["interleaved", "prepended"] = "interleaved"
    """prepended: all recordings before the text, as LTU's original code has them."""
    first_repeat: Whole = Field(default=0, ge=0, lt=1 << 20)
    """The choices are the answers first_repeat, first_repeat + 1, … of all that belong to the seed."""
    logprobs: Literal["raw", "drawn"] = "raw"
    """Of the model's own distribution, or of the one that tokens were drawn from."""


class ChatForm(Form):
    model: str
    messages: list[Message] = Field(min_length=1)
    n: Whole | None = Field(None, ge=1)
    seed: Whole | None = Field(None, ge=-(1 << 63), lt=1 << 63)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: Whole | None = Field(None, ge=0, lt=1 << 31)
    repetition_penalty: float | None = Field(None, gt=0)
    max_completion_tokens: Whole | None = Field(None, ge=1)
    max_tokens: Whole | None = Field(None, ge=1)
    stop: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=16)]
        | None
    ) = None
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(None, ge=0, le=20)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ltu: Extension = Extension()

    user: str | None = Field(None, description="Requests of different users take turns.")
    safety_identifier: str | None = Field(None, description="As user.")
    metadata: dict[str, str] | None = Field(None, description=NO_EFFECT)
    prompt_cache_key: str | None = Field(None, description=NO_EFFECT)
    parallel_tool_calls: bool | None = Field(None, description=NO_EFFECT)
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None
    frequency_penalty: Neutral | None = None
    presence_penalty: Neutral | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: TextFormat | None = None
