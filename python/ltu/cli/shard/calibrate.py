"""ltu-shard calibrate: the temperature at which P(yes) means what it says, into the model file."""

from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import Json, command, show
from ltu.errors import Error
from ltu.files import replacing, sha256
from ltu.model import DECISION_TEMPERATURE
from ltu.shard.run.store import Store


@command
def calibrate(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="From ltu-shard run --scores.")],
    gguf: Annotated[
        Path, typer.Option(metavar="FILE", help="The model that was run; its file is rewritten.")
    ],
    run: Annotated[int | None, typer.Option(help="Which run of the file; absent: the latest.")] = None,
    json: Json = False,
) -> None:
    """Fits a temperature on every second word, reports the others, writes it into the model file."""
    from ltu.convert import gguf_file
    from ltu.shard.score.calibration import fit
    from ltu.shard.score.scored import load_run

    scored = load_run(Store(results), run)
    if not gguf.is_file():
        raise Error(f"{gguf}: no such file; give the model that was run")
    if sha256(gguf) != scored.row["model_sha256"]:
        raise Error(
            f"{gguf}: is not the model of run {scored.row['id']} ({scored.row['model']}); give that one"
        )
    found = fit(scored)
    if found.after.log_loss > found.before.log_loss:
        raise Error(
            f"{results}: the temperature that fits every second word, {found.temperature:.2g}, makes the "
            f"others worse (log-loss {found.before.log_loss:.3f} → {found.after.log_loss:.3f}), so {gguf} "
            "stays as it is; run more questions"
        )
    model = gguf_file.read(gguf)
    with replacing(gguf) as draft:
        gguf_file.write(draft, {**model.keys, DECISION_TEMPERATURE: found.temperature}, model.tensors)
    told = {"file": str(gguf), "temperature": round(found.temperature, 4), "from": found.source}
    for when, figures in (("before", found.before), ("after", found.after)):
        told |= {f"{name} {when}": round(getattr(figures, name), 4) for name in ("brier", "ece", "log_loss")}
    told |= {"questions": found.before.questions, "fitted on": ", ".join(found.fitted_on)}
    show(told, json)
