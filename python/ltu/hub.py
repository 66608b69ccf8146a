"""`hf:org/repo[:type]` → a model file of the Hugging Face Hub, kept in Hugging Face's cache."""

import re
from os import PathLike, fspath
from pathlib import Path

from ltu.errors import Error

PREFIX = "hf:"
NAME = re.compile(r"hf:(?P<repo>\w[\w.-]*/\w[\w.-]*)(:(?P<type>[\w.-]+))?")


def local_path(path: str | PathLike[str]) -> str:
    """The path itself, or the file that `hf:…` names. Raises Error."""
    path = fspath(path)
    return str(hub_file(path)) if path.startswith(PREFIX) else path


def hub_file(name: str) -> Path:
    """The one GGUF file of a repository, or the one whose name says the type ("q8_0", "Q4_K_M").

    Downloads it once; without a network, or with HF_HUB_OFFLINE=1, what is in the cache counts. Tokens and
    mirrors are huggingface_hub's (HF_TOKEN, HF_ENDPOINT). Raises Error.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise Error(f"{name}: is no name of a model on the Hub; write hf:org/repo or hf:org/repo:type")
    repo, type = match["repo"], match["type"]
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        file = _chosen(HfApi().list_repo_files(repo), name, type)
        return Path(hf_hub_download(repo, file))
    except (GatedRepoError, RepositoryNotFoundError):
        raise Error(f"{name}: the Hub has no such repository, or asks for a token; set HF_TOKEN") from None
    except Error:
        raise
    except Exception as error:  # no network, in the words of whichever client huggingface_hub has
        reason = str(error).strip().partition("\n")[0] or repr(error)
    try:
        folder = Path(snapshot_download(repo, local_files_only=True, allow_patterns="*.gguf"))
    except Exception:  # nothing of it, or not all
        raise Error(f"{name}: the Hub can't be reached and the cache has no file of it ({reason})") from None
    cached = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf")]
    return folder / _chosen(cached, name, type)


def _chosen(files: list[str], name: str, type: str | None) -> str:
    """The file that is meant. Raises Error, which lists those there are."""
    models = sorted(file for file in files if file.endswith(".gguf"))
    if type is None:
        fitting = models
    else:
        word = re.compile(rf"(^|[-._/]){re.escape(type)}\.gguf", re.IGNORECASE)
        fitting = [file for file in models if word.search(file)]
    if len(fitting) == 1:
        return fitting[0]
    if not models:
        raise Error(f"{name}: holds no GGUF file; convert its weights with ltu-convert")
    what = "several GGUF files" if fitting else f"no GGUF file of the type {type}"
    raise Error(f"{name}: holds {what}; name one of its types: {', '.join(fitting or models)}")
