"""ltu-run --windows: a prompt about each ten seconds of a recording, and what the answers say together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ltu.audio import Clip
from ltu.cli.console import print_json
from ltu.cli.session import Session, fields_of
from ltu.query import Answer
from ltu.readings import Reading

Span = tuple[float, float]  # seconds into the recording


class Window(NamedTuple):
    clip: Clip
    answer: Answer

    @property
    def span(self) -> Span:
        return self.clip.start, self.clip.start + self.clip.seconds

    @property
    def says(self) -> str:
        """Yes or no, or the answer itself where it is neither."""
        decision = Reading("careful").decide(self.answer.text)
        return self.answer.text if decision == "neither" else decision


class Said(NamedTuple):
    """What some of the answers say, and where."""

    says: str
    answers: int
    spans: list[Span]


def ask_windows(session: Session, prompts: Sequence[str], json: bool) -> None:
    """Prints the answers to each prompt window by window, and their summary."""
    if json:
        document = {**session.document([]), "summary": []}
        for prompt in prompts:
            windows = _asked(session, prompt)
            document["answers"] += [_fields(prompt, window) for window in windows]
            document["summary"] += [{"prompt": prompt, **said._asdict()} for said in summary(windows)]
        return print_json(document)
    for prompt in prompts:
        if len(prompts) > 1:
            print(f"> {prompt}")
        windows = _asked(session, prompt)
        width = max(len(_text(window.span)) for window in windows)
        for window in windows:
            print(f"{_text(window.span):>{width}}  {window.answer.text}")
        for said in summary(windows):
            print(f"{said.says}: {said.answers} of {len(windows)}, at {', '.join(map(_text, said.spans))}")
    return None


def summary(windows: Sequence[Window]) -> list[Said]:
    """What was said, most often first; windows that touch are one span."""
    found: dict[str, list[Window]] = {}
    for window in windows:
        found.setdefault(window.says, []).append(window)
    said = [Said(says, len(those), _joined([w.span for w in those])) for says, those in found.items()]
    return sorted(said, key=lambda each: -each.answers)


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


def _asked(session: Session, prompt: str) -> list[Window]:
    queries = [session.query(prompt, place, [clip]) for place, clip in enumerate(session.clips)]
    answers = sorted(session.model.answers(queries), key=lambda answer: (answer.tag, answer.repeat))
    return [Window(session.clips[answer.tag], answer) for answer in answers]


def _fields(prompt: str, window: Window) -> dict[str, Any]:
    return {"prompt": prompt, "window": window.span, **fields_of(window.answer)}


def _text(span: Span) -> str:
    return f"{span[0]:.1f}–{span[1]:.1f} s"
