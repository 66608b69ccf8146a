"""An LTU model for inspect_ai, in this process: `--model ltu/demo`, `ltu/hf:org/repo:q4_k`, `ltu/m.gguf`."""

import base64
import secrets
from typing import Any

from inspect_ai.model import (  # type: ignore[import-not-found,unused-ignore]
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentAudio,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)

from ltu.audio import Clip, load_audio
from ltu.defaults import EMBEDDINGS
from ltu.errors import PromptError
from ltu.model import load
from ltu.prompt import AUDIO
from ltu.query import Answer

DEMO = "demo"
STOPS = {"eos": "stop", "length": "max_tokens"}


@modelapi("ltu")
class LtuAPI(ModelAPI):  # type: ignore[misc,unused-ignore]
    """Questions that wait are computed together; `-M device=cpu -M threads=2` are `ltu.load`'s."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.model = load(None if model_name == DEMO else model_name, device, threads)

    def max_connections(self) -> int:
        """As many as one step of the engine has answers."""
        return int(self.model.description()["step_answers"])

    async def generate(
        self, input: list[ChatMessage], tools: list[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """One question; `num_choices` repeats. Sampling is the model file's where the config says nothing.

        `extra_body={"ltu": {"first_repeat": k}}` asks for answer k of the seed's, as ltu-serve takes it.
        A seed left out is drawn. Raises PromptError for what this model can't read: tools, history, images.
        """
        if tools:
            raise PromptError("this model calls no tools; take them out of the task")
        prompt, clips = _prompt(input)
        names = ("temperature", "top_k", "top_p")
        given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
        query = self.model.query(
            prompt,
            clips,
            repeats=config.num_choices or 1,
            seed=secrets.randbits(62) if config.seed is None else config.seed,
            max_new_tokens=config.max_tokens,
            **given,
            **(config.extra_body or {}).get("ltu", {}),
        )
        answers = await self.model.submit(query, stream=False)
        read = len(query.sequence.ids) + (EMBEDDINGS - 1) * len(clips)
        drawn = sum(len(answer.token_ids) for answer in answers)
        return ModelOutput(
            model=self.model_name,
            choices=[_choice(answer, config.stop_seqs or []) for answer in answers],
            usage=ModelUsage(input_tokens=read, output_tokens=drawn, total_tokens=read + drawn),
        )


def _choice(answer: Answer, ends: list[str]) -> ChatCompletionChoice:
    text = answer.text
    for end in ends:
        text = text.split(end)[0]
    message = ChatMessageAssistant(content=text, source="generate")
    return ChatCompletionChoice(message=message, stop_reason=STOPS.get(answer.stop, "stop"))


def _prompt(messages: list[ChatMessage]) -> tuple[str, list[Clip]]:
    """The parts of the one message in their order, nothing between them."""
    if [message.role for message in messages] != ["user"]:
        roles = ", ".join(message.role for message in messages)
        raise PromptError(f"this model answers one user message, without system text or history; got {roles}")
    content = messages[0].content
    parts = [ContentText(text=content)] if isinstance(content, str) else content
    text, clips = "", []
    for part in parts:
        if isinstance(part, ContentText):
            if AUDIO in part.text:
                raise PromptError(f"text holds {AUDIO}; give the recording there as audio content")
            text += part.text
        elif isinstance(part, ContentAudio):
            text += AUDIO
            clips.append(_clip(part.audio))
        else:
            raise PromptError(f"this model reads text and audio, not {part.type}")
    return text, clips


def _clip(audio: str) -> Clip:
    """Of a path, or of a data URL."""
    if audio.startswith("data:"):
        return load_audio(base64.b64decode(audio.partition(",")[2]))
    return load_audio(audio)
