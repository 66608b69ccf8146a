"""Errors that carry one line for the user: what is wrong, where, and what to do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Error(Exception):
    """Anything that LTU Engine reports instead of crashing."""


class ModelFileError(Error):
    """A model file is missing, broken, or lacks a key or tensor."""


class AudioError(Error):
    """An audio input cannot be heard: missing, empty, too short, not finite, not audio."""


class PromptError(Error):
    """A prompt and its clips do not fit together."""


class Interrupted(Error):  # noqa: N818
    """A computation that somebody stopped."""


@contextmanager
def needs(extra: str, otherwise: str = "") -> Iterator[None]:
    """Around imports that an extra brings. Raises Error, which names the extra, where they are absent.

    otherwise: what else can be done.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ltu"):
            raise
        advice = f"pip install 'ltu-engine[{extra}]'{otherwise and f', or {otherwise}'}"
        raise Error(f"the package {error.name} is missing: {advice}") from None


def listed(names: Iterable[str], shown: int = 3) -> str:
    """The first names and a count of the others, for one line: "a, b, c and 5 more"."""
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
