"""The result of one start: the output if every item is settled, and the figures in any case."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltu.training.reformulate import rules
from ltu.training.reformulate.cost import Prices, batch_share
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.openaqa import KINDS
from ltu.training.reformulate.output import Written, write
from ltu.training.reformulate.progress import Progress
from ltu.training.reformulate.quality import Quality
from ltu.version import __version__


@dataclass(frozen=True)
class Result:
    """`written`: None while items are pending or wait in batch files."""

    document: dict[str, Any]
    quality: Quality
    written: Written | None


def finish(
    source: Path, progress: Progress, files: Files, settings: Mapping[str, Any], prices: Prices | None
) -> Result:
    """Writes the output once every item has a prompt or has failed."""
    counts = progress.counts()
    quality = Quality(settings["seed"])
    document: dict[str, Any] = {"output": str(files.output), "by": settings["by"], "items": counts.items}
    if counts.pending or counts.waiting:
        left = {"pending": counts.pending, "waiting_in_batch_files": counts.waiting}
        document = {**document, "output": f"{files.output}: not written before all is done", **left}
        return Result({**document, **_spent(progress, settings, prices)}, quality, None)
    written = write(source, progress, files, _provenance(progress, settings), quality)
    document |= {"rows": written.rows, "failed": written.failed, "leaks": written.leaks}
    beside = {"failed_file": files.failed, "leaks_file": files.leaks, "provenance_file": files.provenance}
    document |= {name: str(path) for name, path in beside.items() if path.exists()}
    document |= _spent(progress, settings, prices)
    document["problems"] = dict(progress.problems())
    document["leaked_terms"] = dict(written.leaked_terms.most_common())
    document["quality"] = {}
    validity = progress.validity()
    for kind in (kind for kind in KINDS if kind in validity):
        items, first, valid = validity[kind]
        figures = {"items": items, "valid_first": first, "valid": valid}
        document["quality"][kind] = figures | quality.document(kind)
    return Result(document, quality, written)


def _spent(progress: Progress, settings: Mapping[str, Any], prices: Prices | None) -> dict[str, Any]:
    """Tokens and dollars that were spent, as the server counts tokens."""
    if settings["by"] in (rules.NAME, rules.PREPENDED):
        return {}
    direct, batched = progress.tokens(batched=False), progress.tokens(batched=True)
    spent: dict[str, Any] = {
        "input_tokens": direct.input + batched.input,
        "output_tokens": direct.output + batched.output,
    }
    if prices:
        spent["dollars"] = round(direct.dollars(prices) + batch_share() * batched.dollars(prices), 4)
    return spent


def _provenance(progress: Progress, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"made_by": f"ltu-reformulate {__version__}", **settings, "models": progress.models()}
