"""A conversation, as transformers and OpenAI write it, → the one question that an LTU answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ltu.errors import PromptError
from ltu.prompt import AUDIO

Message = Mapping[str, Any]
SOURCES = "audio", "url", "path"  # where a part of type "audio" may hold its recording


def question_of(messages: Sequence[Message]) -> tuple[str, list[Any]]:
    """The text, with [AUDIO] where recordings stood, and the recordings.

    The rule is ltu-serve's: one user message, its parts joined with nothing between them. LTU was trained on
    single questions, so system text and history are refused, not joined. Raises PromptError.
    """
    asked = [message for message in messages if message.get("role") == "user"]
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer") and message.get("content"):
            raise PromptError("the conversation has a system message; this model answers one question")
        if role not in ("user", "system", "developer"):
            raise PromptError(f"the conversation has a message of {role!r}; this model answers one question")
    if len(asked) != 1:
        raise PromptError(f"the conversation has {len(asked)} user messages; this model answers one question")
    content = asked[0].get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text, clips = "", []
    for place, part in enumerate(parts):
        recording = next((part[name] for name in SOURCES if name in part), None)
        if part.get("type") == "audio" and recording is not None:
            clips.append(recording)
            text += AUDIO
        elif part.get("type") == "text" and AUDIO not in part.get("text", AUDIO):
            text += part["text"]
        else:
            raise PromptError(
                f"part {place} of the message is no text without {AUDIO} and no audio with one of "
                f"{', '.join(SOURCES)}"
            )
    if text.count(AUDIO) != len(clips):
        raise PromptError(f"parts of the message put together {AUDIO}; only a recording may stand for it")
    return text, clips
