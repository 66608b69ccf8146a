"""Checkpoint → GGUF, GGUF → GGUF."""

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from ltu.convert import gguf_file
from ltu.convert.checkpoint import weight_files
from ltu.convert.gguf_file import Progress, Value
from ltu.convert.llama import read_base
from ltu.convert.llama_cpp import ARCHITECTURE, heads
from ltu.convert.ltu_part import LtuPart, is_whole, read_checkpoint, read_release
from ltu.convert.model import Model, Written, rows_of, write_model
from ltu.convert.outtype import ENCODINGS
from ltu.convert.tensor import Tensor, merged, paired
from ltu.convert.vocabulary import END_TOKENS
from ltu.errors import Error, ModelFileError, listed
from ltu.files import sha256
from ltu.version import __version__

PathName = str | PathLike[str]
UNQUANTISED = ("f32", "f16", "bf16")
GROWN = 1.01  # times a file's bytes: keys alone differ by less


def convert(
    base: PathName,
    ltu: PathName | None = None,
    checkpoint: PathName | None = None,
    outtype: str = "mixed",
    output: PathName = ".",
    progress: Progress | None = None,
    audio_outtype: str | None = None,
) -> Written:
    """Joins a LLaMA with what makes it an LTU, and writes one file.

    base: Hugging Face directory or llama GGUF. One of ltu, a file of the original release, and checkpoint,
    a folder of ours; neither where base is a whole LTU of transformers. outtype: one of outtype.OUTTYPES.
    audio_outtype: of the encoder's and the projector's matrices; None: f32 if outtype is, else f16. output:
    file, or folder for a file of the usual name. progress: gets tensor, bytes done, bytes in all. Raises
    Error, ModelFileError.
    """
    if ltu is None and checkpoint is None and is_whole(Path(base)):
        checkpoint = base
    if (ltu is None) == (checkpoint is None):
        raise Error(
            "a LLaMA alone can't hear: give ltu (a file of the original release) or a checkpoint of ours"
        )
    part = read_release(Path(ltu)) if ltu is not None else read_checkpoint(Path(checkpoint or ""))
    model = joined(read_base(Path(base)), part)
    written = write_model(model, outtype, _file(Path(output), model, outtype), progress, audio_outtype)
    other_base = [] if is_whole(Path(base)) else _base_differs(Path(base), part)
    return Written(written.path, written.bytes, (*other_base, *written.notes))


def requantise(
    gguf: PathName,
    outtype: str = "mixed",
    output: PathName = ".",
    progress: Progress | None = None,
    audio_outtype: str | None = None,
) -> Written:
    """An LTU file in another type. Raises Error, ModelFileError."""
    model, size = read_ltu(Path(gguf)), Path(gguf).stat().st_size
    written = write_model(model, outtype, _file(Path(output), model, outtype), progress, audio_outtype)
    lost = _lost_before(model) if written.bytes > GROWN * size else []
    return Written(written.path, written.bytes, (*lost, *written.notes))


def export_llama(
    gguf: PathName, output: PathName, outtype: str | None = None, progress: Progress | None = None
) -> Written:
    """The language model of an LTU file as a plain llama GGUF, which llama.cpp loads.

    outtype None: the tensors are copied as they are. Raises Error, ModelFileError.
    """
    model = read_ltu(Path(gguf))
    ends = dict(zip(END_TOKENS, model.keys.get("ltu.eos_token_ids", []), strict=False))
    kept = ("general.", "llama.", "tokenizer.", ARCHITECTURE)
    keys = {key: value for key, value in model.keys.items() if key.startswith(kept)}
    keys.pop("tokenizer.huggingface.json", None)
    keys |= {"general.architecture": keys.get(ARCHITECTURE, "llama"), **ends}
    tensors = {name: t for name, t in model.tensors.items() if not name.startswith(("a.", "mm."))}
    return write_model(Model(keys, tensors, model.where), outtype, Path(output), progress)


def joined(base: Model, part: LtuPart) -> Model:
    """LoRA folded in, tensors and keys together; the part's keys win."""
    tensors = dict(base.tensors)
    sources = {row.source: row.name for row in rows_of(base).values() if row.matrix}
    for module, (a, b) in part.lora.items():
        name = _lora_target(module, sources, part.where)
        matrix = tensors.get(name)
        if matrix is None or matrix.shape != (b.row_count, a.columns):
            shape = "no such matrix" if matrix is None else f"one of shape {list(matrix.shape)}"
            raise ModelFileError(
                f"{part.where}: LoRA of {module} fits [{b.row_count}, {a.columns}], {base.where} has "
                f"{shape}: is it the right base?"
            )
        if name.endswith(("attn_q.weight", "attn_k.weight")):  # the base's rows are paired
            b = paired(b, heads(base.keys, name))
        tensors[name] = merged(matrix, a, b, part.scales[module])
    _check_every_layer(part, base.keys["llama.block_count"])
    tensors |= part.tensors
    keys = base.keys | part.keys | _general(base.keys, part.keys, tensors) | {"general.architecture": "ltu"}
    return Model(keys, tensors, f"{base.where} with {part.where}")


def _lora_target(module: str, sources: Mapping[str, str], where: str) -> str:
    """model.layers.0.self_attn.q_proj → blk.0.attn_q.weight."""
    _, _, layer, name = module.split(".", 3)
    first = sources.get(f"model.layers.0.{name}.weight")
    if first is None:
        raise ModelFileError(f"{where}: LoRA of {module} is not supported")
    return f"blk.{layer}.{first.removeprefix('blk.0.')}"


def _check_every_layer(part: LtuPart, blocks: int) -> None:
    names = sorted({module.split(".", 3)[3] for module in part.lora})
    wanted = [f"model.layers.{i}.{name}" for i in range(blocks) for name in names]
    missing = [module for module in wanted if module not in part.lora]
    if missing:
        raise ModelFileError(f"{part.where}: has no LoRA of {listed(missing)}: is it of this base?")


def _general(
    base: Mapping[str, Value], part: Mapping[str, Value], tensors: Mapping[str, Tensor]
) -> dict[str, Value]:
    """Usual general.* keys of the joined model."""
    base_name = str(part.get("general.base_model.0.name") or base.get("general.name", "LLaMA"))
    finetune = str(part.get("general.finetune", "LTU"))
    count = sum(tensor.row_count * tensor.columns for tensor in tensors.values())
    return {
        "general.type": "model",
        "general.name": f"{base_name} {finetune}",
        "general.basename": str(base.get("general.basename", base_name)),
        "general.finetune": finetune,
        "general.size_label": size_label(count),
        "general.quantized_by": f"ltu-convert {__version__}",
        "general.base_model.count": 1,
        "general.base_model.0.name": base_name,
    }


def size_label(count: int) -> str:
    """A number of parameters as file names give it: 135M, 6.8B."""
    for unit, letter in ((10**9, "B"), (10**6, "M")):
        if count >= unit:
            value = count / unit
            return f"{value:.0f}{letter}" if value >= 10 else f"{value:.1f}{letter}"
    return f"{count / 1000:.0f}K"


def file_name(keys: Mapping[str, Value], outtype: str) -> str:
    """The usual name of a GGUF file: base, size, fine-tuning, encoding."""
    parts = [keys.get("general.basename", keys.get("general.name"))]
    parts += [keys.get(f"general.{key}") for key in ("size_label", "finetune")]
    parts.append(ENCODINGS[outtype])
    return "-".join(re.sub(r"[^\w.]+", "-", str(part)) for part in parts if part) + ".gguf"


def _file(output: Path, model: Model, outtype: str) -> Path:
    path = output / file_name(model.keys, outtype) if output.is_dir() else output
    if not path.parent.is_dir():
        raise Error(f"{path.parent}: there is no such folder")
    return path


def read_ltu(path: Path) -> Model:
    """A GGUF file that holds a whole LTU. Raises ModelFileError."""
    file = gguf_file.read(path)
    architecture = file.keys.get("general.architecture")
    if architecture != "ltu":
        raise ModelFileError(
            f"{path}: its architecture is {architecture!r}, expected 'ltu'; a LLaMA is given with --base"
        )
    keys = {key: value for key, value in file.keys.items() if key != "general.alignment"}
    return Model(keys, dict(file.tensors), str(path))


def _lost_before(model: Model) -> list[str]:
    """What a file was quantised to stays lost, however many bits its values get now."""
    had = sorted({t.type for t in model.tensors.values() if t.type not in UNQUANTISED})
    if not had:
        return []
    return [
        f"{model.where} holds {', '.join(had)}: a larger type brings nothing back; convert from the source"
    ]


def _base_differs(base: Path, part: LtuPart) -> list[str]:
    wanted = part.keys.get("ltu.base_model.sha256")
    if not wanted or sha256(*weight_files(base)) == wanted:
        return []
    return [f"{base} holds other weights than the base that was trained on (SHA-256 {wanted})"]
