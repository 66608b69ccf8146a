"""Errors that carry one line for the user: what is wrong, where, and what to do."""


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
