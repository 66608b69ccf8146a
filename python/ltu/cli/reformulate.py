"""ltu-reformulate: OpenAQA's questions → interleaved prompts."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ltu.cli.console import NOTES, Json, application, command, print_json, show, spread, wrong_usage
from ltu.cli.progress import progress_bar
from ltu.errors import Error
from ltu.files import write_text
from ltu.show.table import Table
from ltu.show.terminal import to_terminal
from ltu.training.reformulate import batch, rules
from ltu.training.reformulate.api import Endpoint, ask
from ltu.training.reformulate.cost import Prices, Tokens, batch_share, estimate, known_prices
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.openaqa import Item
from ltu.training.reformulate.page import figures, page
from ltu.training.reformulate.preview import preview
from ltu.training.reformulate.progress import Progress
from ltu.training.reformulate.prompts import fingerprint
from ltu.training.reformulate.result import Result, finish
from ltu.training.reformulate.subset import Selection, selected, survey

app = application()
DEFAULT_MODEL = "gpt-4.1-mini"  # the paper's


@app.command()
@command
def reformulate(
    source: Annotated[Path, typer.Argument(metavar="OPENAQA", help="OpenAQA's JSON list, of any size.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows, JSON Lines; FILE.db beside it is gone on with if there."),
    ] = None,
    subset: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stratified draw; the paper's small set: 40000.")
    ] = None,
    total: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="The same for the large set, 1000000; it holds the small one."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of draws, variations and temperatures.")] = 0,
    datasets: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME…]",
            help="Absent, the paper's: as_strong_train, and as_20k for classifications.",
        ),
    ] = "",
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="OPENAI_BASE_URL", help="Any OpenAI-compatible endpoint."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", envvar="OPENAI_MODEL")] = DEFAULT_MODEL,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            envvar="OPENAI_API_KEY",
            help="Better in the environment: others can see a command line.",
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one request.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Answers for an item until it counts as failed.")] = 3,
    offline: Annotated[
        bool, typer.Option("--offline", help="By rules, without a language model; the provenance says so.")
    ] = False,
    batch_write: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the requests as the provider's batch files.")
    ] = None,
    batch_read: Annotated[
        list[Path] | None, typer.Option(metavar="FILE...", help="Read the results of batch files.")
    ] = None,
    batch_forget: Annotated[
        bool, typer.Option("--batch-forget", help="Ask again what waits in batch files: they are lost.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show ten requests and the estimated cost; write nothing."),
    ] = False,
    price_input: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="A million input tokens.")
    ] = None,
    price_output: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="A million output tokens.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the quality report with samples.")
    ] = None,
    json: Json = False,
) -> None:
    """Reformulates OpenAQA's questions into interleaved prompts."""
    if subset and total:
        raise wrong_usage("--subset", "give either --subset or --total")
    if (price_input is None) != (price_output is None):
        raise wrong_usage("--price-input", "goes with --price-output")
    if offline and (batch_write or batch_read):
        raise wrong_usage("--offline", "needs no batch files")
    if batch_write and batch_read:
        raise wrong_usage("--batch-write", "read results first, then write what is still pending")
    names = tuple(sorted({name.strip() for name in datasets.split(",")} - {""}))
    selection = Selection(source, names, subset or total, seed)
    prices = known_prices(model)
    if price_input is not None and price_output is not None:
        prices = Prices(price_input, price_output)
    if dry_run:
        _preview(selection, model, prices, json)
        return
    files = _files(source, output)
    by = rules.NAME if offline else model
    settings = {
        "source": source.name,
        "bytes": source.stat().st_size,
        "datasets": list(names),
        "limit": selection.limit,
        "seed": seed,
        "by": by,
        "prompts": fingerprint("rules" if offline else "prompts"),
    }
    endpoint = None if offline else Endpoint(model, base_url, api_key, timeout)
    if endpoint and not (batch_write or batch_read or files.progress.exists()):
        endpoint.client()  # what it lacks is said before a large file is read
    progress = Progress(files.progress, tries)
    with progress.writing():
        progress.begin(settings, lambda: _select(selection))
        if batch_forget:
            progress.forget_batches()
        for file in batch_read or ():
            NOTES.print(f"{file}: {batch.read_results(progress, file)}", markup=False, soft_wrap=True)
        if batch_write:
            _note_cost(estimate(progress.work()), prices, batch_share())
            for path, count in batch.write_requests(progress, batch_write, model, seed):
                NOTES.print(f"{path}: {count} requests", markup=False, soft_wrap=True)
        elif not batch_read:
            _work(progress, endpoint, seed, concurrency, prices)
        result = finish(source, progress, files, settings, prices)
    if report and result.written:
        write_text(report, page(result.document, result.quality, result.written))
    elif report:
        NOTES.print(f"{report}: is written when nothing is pending", markup=False, soft_wrap=True)
    _print(result, json)


def _select(selection: Selection) -> Iterator[Item]:
    with NOTES.status(f"reading {selection.source}"):
        found = survey(selection)
    NOTES.print(found.describe(selection), markup=False, soft_wrap=True)
    if selection.limit and selection.limit > found.qualified:
        NOTES.print(f"fewer than {selection.limit}: all are taken", markup=False)
    return selected(selection, found)


def _work(
    progress: Progress, endpoint: Endpoint | None, seed: int, concurrency: int, prices: Prices | None
) -> None:
    counts = progress.counts()
    if counts.waiting:
        NOTES.print(
            f"{counts.waiting} items wait in batch files: --batch-read their results, or --batch-forget them",
            markup=False,
            soft_wrap=True,
        )
    if not counts.pending:
        return
    if endpoint:
        _note_cost(estimate(progress.work()), prices, 1.0)
    with progress_bar() as bar:
        task = bar.add_task("reformulating", total=counts.items, completed=counts.items - counts.pending)
        if endpoint:
            ask(progress, endpoint, seed, concurrency, lambda: bar.advance(task))
        else:
            rules.answer_all(progress, seed, lambda count: bar.advance(task, count))


def _preview(selection: Selection, model: str, prices: Prices | None, json: bool) -> None:
    shown = preview(selection, model)
    cost = _cost(shown.tokens, prices, 1.0)
    if json:
        print_json({"requests": shown.requests, "items": shown.items, **cost})
        return
    for row in shown.requests:
        print(f"── item {row['item']}, {row['kind']}, temperature {row['body']['temperature']}")
        for message in row["body"]["messages"]:
            print(f"[{message['role']}]\n{message['content']}\n")
    print(f"{shown.items} requests: {_told(shown.tokens, prices, 1.0)}")
    if prices:
        print(f"in batch files: {_told(shown.tokens, prices, batch_share())}")


def _note_cost(tokens: Tokens, prices: Prices | None, share: float) -> None:
    NOTES.print(f"estimate: {_told(tokens, prices, share)}", markup=False, soft_wrap=True)


def _told(tokens: Tokens, prices: Prices | None, share: float) -> str:
    text = f"about {tokens.input} input and {tokens.output} output tokens"
    if prices is None:
        return f"{text}; --price-input and --price-output make dollars of them"
    dollars = share * tokens.dollars(prices)
    return f"{text}, ${dollars:.2f} at ${share * prices.input:g} and ${share * prices.output:g} a million"


def _cost(tokens: Tokens, prices: Prices | None, share: float) -> dict[str, Any]:
    dollars = share * tokens.dollars(prices) if prices else None
    return {"input_tokens": tokens.input, "output_tokens": tokens.output, "dollars": dollars}


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
        print_json(result.document)
        return
    facts = {name: value for name, value in result.document.items() if not isinstance(value, dict)}
    show({name.replace("_", " "): value for name, value in facts.items()}, json)
    if result.written:
        print(to_terminal("", (), [Table("Quality", *figures(result.document["quality"]))]).rstrip())


def main() -> None:
    app(spread(sys.argv[1:], "--batch-read"), prog_name="ltu-reformulate")


if __name__ == "__main__":
    main()
