"""How many threads compute when one core is left to HTTP."""

from pathlib import Path

from ltu import _engine


def threads_beside_http(root: Path = Path("/")) -> int:
    """The engine's default, less one; at least one. `root` holds proc and sys."""
    return max(1, _engine.usable_cores(str(root)) - 1)
