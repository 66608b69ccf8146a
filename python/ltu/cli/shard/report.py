"""ltu-shard report: a run, read and scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltu.cli.console import Json, command, print_json, wrong_usage
from ltu.files import write_text
from ltu.shard.run.store import Store

if TYPE_CHECKING:
    from ltu.shard.score.scored import Run


@command
def report(
    results: Annotated[Path | None, typer.Argument(metavar="RESULTS", help="From ltu-shard run.")] = None,
    run: Annotated[int | None, typer.Option(help="Which run of the file; absent: the latest.")] = None,
    against: Annotated[
        str | None, typer.Option(metavar="FILE[:RUN]", help="Compare with another run.")
    ] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print every figure as a row.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one self-contained page.")] = None,
    table2: Annotated[
        bool, typer.Option("--table2", help="What the paper's Table 2 says when inverted.")
    ] = False,
) -> None:
    """Reads and scores a run; needs no model."""
    from ltu.shard.report.document import report as make_report
    from ltu.shard.report.table2 import beside_table, paper_tables
    from ltu.shard.report.tables import tables
    from ltu.shard.report.text import figures_csv, title
    from ltu.shard.score.scored import load_run
    from ltu.show.markdown import to_markdown
    from ltu.show.terminal import to_terminal

    if (json, csv, markdown).count(True) > 1:
        raise wrong_usage("--json, --csv and --markdown", "are three forms of one output; give one")
    if table2:
        shown = list(paper_tables())
        if json:
            print_json([table.to_json() for table in shown])
        else:
            print((to_markdown if markdown else to_terminal)("The paper's Table 2, inverted", (), shown))
        return
    if results is None:
        raise wrong_usage("RESULTS", "missing: name a file from ltu-shard run")
    scored = load_run(Store(results), run)
    made = make_report(scored, _other_run(results, against) if against else None)
    if html:
        from ltu.shard.report.page import page

        write_text(html, page(scored, made))
    if json:
        print_json(made.to_json())
    elif csv:
        print(figures_csv(made), end="")
    elif html and not markdown:
        print(html)
    else:
        shown = [*tables(made), beside_table(made.table2)]
        print((to_markdown if markdown else to_terminal)(title(made), made.notes, shown))


def _other_run(results: Path, against: str) -> "Run":
    """FILE, FILE:RUN or :RUN of the same file."""
    from ltu.shard.score.scored import load_run

    name, _, number = against.rpartition(":") if against.rpartition(":")[2].isdigit() else (against, "", "")
    return load_run(Store(Path(name) if name else results), int(number) if number else None)
