"""ltu-reformulate: OpenAQA's questions → interleaved prompts."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import NOTES, Json, application, command, print_json, show, spread, wrong_usage
from ltu.cli.options import LARGEST, LARGEST_SEED
from ltu.cli.progress import progress_bar
from ltu.errors import Error
from ltu.files import write_text
from ltu.show.table import Table
from ltu.show.terminal import to_terminal
from ltu.training.reformulate.api import Endpoint
from ltu.training.reformulate.cost import Estimate, Prices, batch_share, known_prices
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.page import figures, page
from ltu.training.reformulate.preview import preview
from ltu.training.reformulate.result import Result
from ltu.training.reformulate.subset import Selection
from ltu.training.reformulate.work import Advance, Watch, Work
from ltu.training.reformulate.work import reformulate as do

app = application()
DEFAULT_MODEL = "gpt-4.1-mini"  # the paper's

Source = Annotated[Path, typer.Argument(metavar="OPENAQA", help="OpenAQA's JSON list, of any size.")]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where the rows go, as JSON Lines. The progress is kept beside it, in a file that ends in .db: "
        "started again, the work goes on from there.",
    ),
]
MOST_REQUESTS = 1024  # at a time: as many connections as a process may usually have open
Subset = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=LARGEST,
        metavar="N",
        help="Draw N items; kinds and datasets keep their shares, a smaller draw is part of a larger one. "
        "The paper's sets have 40000 and 1000000.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=LARGEST_SEED, help="Decides the draw, and each item's variation and temperature."
    ),
]
Datasets = Annotated[
    str,
    typer.Option(
        metavar="NAME[,NAME…]",
        help="Take these datasets' items; without it the paper's: as_strong_train, and as_20k for "
        "classifications.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", envvar="OPENAI_BASE_URL", help="Ask any OpenAI-compatible endpoint."),
]
Model = Annotated[
    str, typer.Option(metavar="NAME", envvar="OPENAI_MODEL", help="Which of the endpoint's models answers.")
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        envvar="OPENAI_API_KEY",
        help="The endpoint's key; better set in the environment, because others can see a command line.",
    ),
]
Concurrency = Annotated[
    int, typer.Option(min=1, max=MOST_REQUESTS, help="How many requests are made at a time.")
]
Timeout = Annotated[float, typer.Option(min=0.1, max=86_400, help="How many seconds one request may take.")]
Tries = Annotated[
    int, typer.Option(min=1, max=LARGEST, help="How many refused answers make an item count as failed.")
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Make prompts by rules, not by a language model; the provenance says so."),
]
Prepended = Annotated[
    bool,
    typer.Option(
        "--prepended",
        help="Leave the questions as they are, for training with the clip before the text: the control for "
        "the same draw's interleaved prompts.",
    ),
]
BatchWrite = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Write the requests as the provider's batch files into this folder."),
]
BatchRead = Annotated[
    list[Path] | None, typer.Option(metavar="FILE...", help="Read the results of batch files.")
]
BatchForget = Annotated[
    bool,
    typer.Option("--batch-forget", help="Ask again what waits in batch files, whose results are lost then."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show ten requests and the estimated cost; ask and write nothing."),
]
PriceInput = Annotated[
    float | None,
    typer.Option(min=0, metavar="USD", help="What a million input tokens cost, for the estimate."),
]
PriceOutput = Annotated[
    float | None,
    typer.Option(min=0, metavar="USD", help="What a million output tokens cost, for the estimate."),
]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Write a quality report with samples to this file.")
]


@app.command()
@command
def reformulate(
    source: Source,
    output: Output = None,
    subset: Subset = None,
    seed: Seed = 0,
    datasets: Datasets = "",
    base_url: BaseUrl = None,
    model: Model = DEFAULT_MODEL,
    api_key: ApiKey = None,
    concurrency: Concurrency = 16,
    timeout: Timeout = 60.0,
    tries: Tries = 3,
    offline: Offline = False,
    prepended: Prepended = False,
    batch_write: BatchWrite = None,
    batch_read: BatchRead = None,
    batch_forget: BatchForget = False,
    dry_run: DryRun = False,
    price_input: PriceInput = None,
    price_output: PriceOutput = None,
    report: Report = None,
    json: Json = False,
) -> None:
    """Reformulates OpenAQA's questions into interleaved prompts."""
    if offline and prepended:
        raise wrong_usage("--prepended", "leaves the questions as they are, --offline rewords them")
    for option, given in (("--offline", offline), ("--prepended", prepended)):
        if given and (batch_write or batch_read):
            raise wrong_usage(option, "needs no batch files")
    if batch_write and batch_read:
        raise wrong_usage("--batch-write", "read results first, then write what is still pending")
    names = tuple(sorted({name.strip() for name in datasets.split(",")} - {""}))
    selection = Selection(source, names, subset, seed)
    prices = _prices(model, price_input, price_output)
    if dry_run:
        _preview(selection, model, prices, json)
        return
    files = _files(source, output)
    endpoint = None if offline or prepended else Endpoint(model, base_url, api_key, timeout)
    batches = (batch_write, tuple(batch_read or ()), batch_forget)
    work = Work(selection, files, endpoint, prices, tries, concurrency, *batches, prepended)
    result = do(work, Terminal())
    if report and result.written:
        write_text(report, page(result, result.written))
    elif report:
        NOTES.print(f"{report}: is written when nothing is pending", markup=False, soft_wrap=True)
    _print(result, json)
    if result.written and not result.written.rows:
        raise Error(f"{output}: not one item got a prompt; {files.failed} has the reasons")


class Terminal(Watch):
    """Notes and a progress bar on standard error."""

    def note(self, line: str) -> None:
        NOTES.print(line, markup=False, soft_wrap=True)

    def reading(self, source: Path) -> AbstractContextManager[object]:
        return NOTES.status(f"reading {source}")

    @contextmanager
    def answering(self, items: int, settled: int) -> Iterator[Advance]:
        with progress_bar() as bar:
            task = bar.add_task("reformulating", total=items, completed=settled)
            yield lambda count: bar.advance(task, count)


def _prices(model: str, input: float | None, output: float | None) -> Prices | None:
    if input is not None and output is not None:
        return Prices(input, output)
    if input is not None or output is not None:
        raise wrong_usage("--price-input", "goes with --price-output")
    return known_prices(model)


def _preview(selection: Selection, model: str, prices: Prices | None, json: bool) -> None:
    shown = preview(selection, model)
    cost = Estimate(shown.tokens, prices)
    if json:
        print_json(
            {"requests": [row.to_json() for row in shown.requests], "items": shown.items, **cost.to_json()}
        )
        return
    for row in shown.requests:
        print(f"── item {row.item}, {row.kind}, temperature {row.body['temperature']}")
        for message in row.body["messages"]:
            print(f"[{message['role']}]\n{message['content']}\n")
    print(f"{shown.items} requests: {cost}")
    if prices:
        print(f"in batch files: {Estimate(shown.tokens, prices, batch_share())}")


def _files(source: Path, output: Path | None) -> Files:
    if output is None:
        raise wrong_usage("--output", "name the file to write")
    if output.suffix == ".db" or output == source:
        raise wrong_usage("--output", f"{output} is the name of another file of this work")
    if not output.parent.is_dir():
        raise Error(f"{output.parent}: no such folder")
    return Files(output)


def _print(result: Result, json: bool) -> None:
    if json:
        print_json(result.to_json())
        return
    show({name.replace("_", " "): value for name, value in result.facts.items()}, json)
    if result.written:
        print(to_terminal("", (), [Table("Quality", *figures(result.tasks))]).rstrip())


def main() -> None:
    app(spread(sys.argv[1:], "--batch-read"), prog_name="ltu-reformulate")


if __name__ == "__main__":
    main()
