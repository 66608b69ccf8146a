"""ltu-shard: the SHARD benchmark; one file per command."""

import sys

from ltu.cli.console import application, spread
from ltu.cli.shard.build import build
from ltu.cli.shard.calibrate import calibrate
from ltu.cli.shard.export import export
from ltu.cli.shard.harness import harness
from ltu.cli.shard.list import list_
from ltu.cli.shard.report import report
from ltu.cli.shard.run import run
from ltu.cli.shard.validate import validate

app = application("SHARD: does a model join what it hears with what it knows?")
for name, work in (
    ("build", build),
    ("run", run),
    ("report", report),
    ("calibrate", calibrate),
    ("list", list_),
    ("validate", validate),
    ("export", export),
    ("harness", harness),
):
    app.command(name)(work)


def main() -> None:
    app(spread(sys.argv[1:], "--clips"), prog_name="ltu-shard")
