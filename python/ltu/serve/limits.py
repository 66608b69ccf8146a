"""What one request, and all of them together, may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Beyond them a request is refused, with a status that says which it was."""

    body_bytes: int = 25 << 20
    body_seconds: float = 30.0
    """How long a body may take to arrive."""
    requests: int = 256
    """Requests that are computed or wait; one client may have half of them."""
    clips: int = 8
    questions: int = 64
    choices: int = 128
    """Answers to one chat request."""
    tokens: int = 4096
    """Of one answer."""
    nodes: int = 64 * 256
    """Positions that the walks of a request may compute; each question may take `nodes / questions`."""
    stalled_seconds: float = 60.0
    """So long may a step take before /health says that the engine is stuck."""
