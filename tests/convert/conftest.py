"""The golden model as files of an original LTU release, written by PyTorch."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from release_files import GOLDEN, Arrays, save_torch, weights


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    description: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text())
    return description


@pytest.fixture(scope="session")
def arrays(golden: dict[str, Any]) -> tuple[Arrays, Arrays]:
    """The golden model's (base, trainable) tensors under the release's names."""
    return weights.make(golden["seed"])  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, arrays: tuple[Arrays, Arrays]) -> Path:
    """A folder with `llama` (config, weights, tokenizer) and `ltu.bin`."""
    folder = tmp_path_factory.mktemp("release")
    base, trainable = arrays
    save_torch(folder / "ltu.bin", trainable)
    (folder / "llama").mkdir()
    save_torch(folder / "llama" / "pytorch_model.bin", base)
    (folder / "llama" / "config.json").write_text(json.dumps(weights.hf_config()))
    shutil.copy(GOLDEN / "tokenizer" / "tokenizer.model", folder / "llama")
    return folder
