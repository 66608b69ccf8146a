"""POST /v1/decisions and POST /v1/systemone as clients send them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ltu.serve.chat_form import NO_EFFECT, Role
from ltu.serve.content import AudioPart, Form, TextPart, Whole

Json = dict[str, Any] | list[Any]


class JsonPart(Form):
    type: Literal["input_json"]
    data: dict[str, Any] | list[dict[str, Any]]


Part = Annotated[TextPart | AudioPart | JsonPart, Field(discriminator="type")]
Instructions = str | list[Part]


class InputMessage(Form):
    type: Literal["message"] = "message"
    role: Role
    content: str | list[Part]


class QuestionExtension(Form):
    """Ours."""

    term: str = ""
    """What a predicate asks about ("bird"): claims about it in an answer count, too."""
    labels: Literal["whole", "named"] = "whole"
    """Of choice and score. whole: a label is the whole answer; named: the answer names it before others."""


class Question(Form):
    instructions: Instructions
    name: str | None = None
    ltu: QuestionExtension = QuestionExtension()


class Predicate(Question):
    """Is it true? The probability that an answer says yes, among those that say yes or no."""

    type: Literal["predicate"]


class Option(Form):
    value: str | bool
    description: None = Field(None, description="Not read by the model: write it into the instructions.")

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else str(self.value).lower()


class Choice(Question):
    """Which of these is the whole answer?"""

    type: Literal["choice"]
    choices: list[Option] = Field(min_length=2, max_length=255)

    @property
    def labels(self) -> Sequence[str]:
        return [option.text for option in self.choices]


class Level(Form):
    label: str
    description: None = Field(None, description="Not read by the model: write it into the instructions.")


class Score(Question):
    """Which of these ordered levels is the whole answer? The mean of their places counts."""

    type: Literal["score"]
    levels: list[Level] = Field(min_length=1, max_length=255)

    @property
    def labels(self) -> Sequence[str]:
        return [level.label for level in self.levels]


AnyQuestion = Annotated[Predicate | Choice | Score, Field(discriminator="type")]


class DecisionExtension(Form):
    """Ours."""

    format: Literal["interleaved", "prepended"] = "interleaved"
    """prepended: all recordings before the text, as LTU's original code has them."""
    epsilon: float = Field(default=1e-3, ge=1e-4, lt=1)
    """So much probability may stay undecided…"""
    node_budget: Whole | None = Field(default=None, ge=1)
    """…and when so many positions were computed for a question, more. None: as many as are allowed."""


class DecisionForm(Form):
    model: str
    input: str | Annotated[list[InputMessage], Field(min_length=1)]
    questions: list[AnyQuestion] = Field(min_length=1)
    ltu: DecisionExtension = DecisionExtension()
    safety_identifier: str | None = Field(None, description="Requests of different users take turns.")
    prompt_cache_key: str | None = Field(None, description=NO_EFFECT)
    prompt_cache_options: dict[str, Any] | None = Field(None, description=NO_EFFECT)


class Asset(Form):
    """A recording that stands wherever its name does, in the state or in instructions."""

    type: Literal["audio"]
    data_base64: str
    format: str | None = None


class Nothing(Form):
    """Descriptions of outcomes are not read by the model: write them into the instructions."""

    true: None = None
    false: None = None


class SystemOneQuestion(Form):
    instructions: str | Json
    ltu: QuestionExtension = QuestionExtension()


class Noul(SystemOneQuestion):
    type: Literal["noul"]
    criteria: Nothing | None = None


class NamedChoice(SystemOneQuestion):
    type: Literal["choice"]
    criteria: dict[str, None] = Field(min_length=1, max_length=255)


class Rubric(SystemOneQuestion):
    type: Literal["score"]
    criteria: list[str] = Field(min_length=1, max_length=255)


class SystemOneForm(Form):
    model: str
    state: str | Json
    questions: dict[str, Annotated[Noul | NamedChoice | Rubric, Field(discriminator="type")]] = Field(
        min_length=1
    )
    assets: dict[str, Asset] | None = None
    audio: list[str] | None = Field(None, description="Data URLs of recordings that stand before the state.")
    ltu: DecisionExtension = DecisionExtension()
