"""A wheel in a clean environment, outside the tree: what it links, its demo, its bits on lesser processors.

    python tests/wheel.py build/wheels/*.whl      # or make test-wheel

Lesser processors are LTU_PROCESSOR's, and Haswell in qemu-x86_64 (Debian: qemu-user) where there is one. Each
must print the same bits. Then tests/test_engine_golden.py asks the wheel (which needs PyTorch to write its
checkpoints). Ends with 1 at the first thing that isn't so.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "build" / "wheel"
BIN = ENVIRONMENT / "bin"
INSTALLED = ROOT / "tests" / "installed.py"
SYSTEM = {"libc", "libm", "libgcc_s", "libstdc++", "libpthread", "libdl", "librt", "ld-linux-x86-64"}
CLIP = "python/ltu/assets/clips/4-164859-A.ogg"
ASKED = ["--audio", str(ROOT / CLIP), "--prompt", "Is [AUDIO] a type of bird?", "--temperature", "0"]
EXPECTED = "Yes, it is a type of bird."


def run(command: Sequence[object], processor: str = "") -> subprocess.CompletedProcess[str]:
    """From a folder without a tree, and without what leads Python to one."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=environment | {"LTU_PROCESSOR": processor},
            capture_output=True,
            text=True,
        )


def said(command: Sequence[object], processor: str = "") -> str:
    """What it prints. Exits where it fails."""
    done = run(command, processor)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def check(what: str, held: bool, found: object = "") -> None:
    print(f"{'ok' if held else 'NOT SO'}: {what} {found if not held else ''}", flush=True)
    if not held:
        sys.exit(1)


def install(wheel: Path) -> None:
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    said([sys.executable, "-m", "venv", ENVIRONMENT])
    said([BIN / "pip", "install", "--quiet", wheel])
    place = Path(said([BIN / "python", "-c", "import ltu; print(ltu.__file__)"]))
    check(
        f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB) is installed",
        ENVIRONMENT in place.parents,
        place,
    )


def check_libraries(wheel: Path) -> None:
    """Only libraries that every Linux of the tag has."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if re.search(r"\.so($|\.)", name)]
        for name in modules:
            lines = said(["readelf", "--dynamic", archive.extract(name, folder)])
            needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\.so", lines))
            check(f"{name} needs {', '.join(sorted(needed))}", needed <= SYSTEM, needed - SYSTEM)
    check("there is one module and no library beside it", len(modules) == 1, modules)


def check_processors(emulator: str | None) -> None:
    """The same bits on each, and a sentence where nothing can run."""
    python: list[object] = [BIN / "python", INSTALLED]
    own = said(python)
    for processor in ("avx2", "scalar"):
        found = said(python, processor)
        check(f"LTU_PROCESSOR={processor} has the same bits", found == own, (found, own))
    if emulator is None:
        return print("left out: no qemu-x86_64")
    found = said([emulator, "-cpu", "Haswell", *python])
    check("Haswell in qemu has the same bits", found == own, (found, own))
    found = said([emulator, "-cpu", "Haswell", BIN / "python", BIN / "ltu-run", *ASKED])
    check("the demo answers there", found.endswith(EXPECTED), found)
    lesser = run([emulator, "-cpu", "Westmere", BIN / "python", "-c", "import ltu._engine"])
    check("a processor without AVX2 is told so", "this one has no AVX2" in lesser.stderr, lesser)


def check_golden() -> None:
    said([BIN / "pip", "install", "--quiet", "pytest", "torch"])
    test = ["-m", "pytest", "-p", "no:cacheprovider", ROOT / "tests" / "test_engine_golden.py"]
    for processor in ("", "avx2"):
        last = said([BIN / "python", *test], processor).splitlines()[-1]
        check(f"golden tests{' with LTU_PROCESSOR=' * bool(processor)}{processor}: {last}", "passed" in last)


def main() -> None:
    [wheel] = sys.argv[1:]
    install(Path(wheel).resolve())
    check_libraries(Path(wheel))
    check(said([BIN / "ltu-run", "--version"]).replace("\n", ", "), True)
    found = said([BIN / "ltu-run", *ASKED])
    check("the demo answers", found.endswith(EXPECTED), found)
    check_processors(shutil.which("qemu-x86_64"))
    check_golden()


if __name__ == "__main__":
    main()
