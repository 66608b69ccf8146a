"""ltu-shard, what needs no model: report, list, validate, export, harness."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ltu.cli.console import Json, command, print_json, show, wrong_usage
from ltu.errors import Error
from ltu.files import write_json_lines, write_text
from ltu.shard.run.store import Store
from ltu.shard.spec.relations import IDENTITY
from ltu.shard.spec.specification import Spec, read_spec

SpecOrResults = Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")]


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
    document = make_report(scored, _other_run(results, against) if against else None)
    if html:
        from ltu.shard.report.page import page

        write_text(html, page(scored, document))
    if json:
        print_json(document)
    elif csv:
        print(figures_csv(document), end="")
    elif html and not markdown:
        print(html)
    else:
        shown = [*tables(document), beside_table(document)]
        print((to_markdown if markdown else to_terminal)(title(document), document["notes"], shown))


@command
def list_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Lists the runs of a result file, or the words of a specification."""
    if _is_results(file):
        keep = ("id", "model", "spec", "repeats", "seed", "asked", "answered", "created")
        rows = [{name: row[name] for name in keep} for row in Store(file).runs()]
    else:
        spec = read_spec(file)
        rows = [_word_row(spec, word.label) for word in spec.words]
    if json:
        print_json(rows)
        return
    for row in rows:
        print("  ".join(str(value) for value in row.values()))


@command
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Checks that a file is whole and does not contradict itself."""
    if _is_results(file):
        store = Store(file)
        problems = [row[0] for row in store.db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        orphans = store.db.execute("PRAGMA foreign_key_check")
        problems += [f"a row of {row[0]} refers to a row of {row[2]} that is missing" for row in orphans]
        if problems:
            raise Error(f"{file}: {problems[0]}")
        show({"file": str(file), "runs": len(store.runs())}, json)
    else:
        spec = read_spec(file)
        show({"file": str(file), **spec.header["counts"], "sha256": spec.hash}, json)


@command
def export(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="From ltu-shard run.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Gets one file per task and way of asking.")],
    run: Annotated[int | None, typer.Option(help="Which run of the file; absent: the latest.")] = None,
    json: Json = False,
) -> None:
    """Writes the answers as JSON Lines in lm-evaluation-harness's layout of sample logs."""
    from ltu.shard.report.export import samples
    from ltu.shard.score.breakdown import conditions
    from ltu.shard.score.scored import load_run

    scored = load_run(Store(results), run)
    out.mkdir(parents=True, exist_ok=True)
    written = {}
    for condition in conditions(scored, (IDENTITY, *scored.relation_names)):
        way = (condition.task, condition.position, condition.wording)
        path = out / f"samples_shard_{'_'.join(way)}.jsonl"
        rows = list(samples(scored, way))
        write_json_lines(path, rows)
        written[str(path)] = len(rows)
    show(written, json)


@command
def harness(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="From ltu-shard build.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For lm_eval's --include_path.")],
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the recordings are now; absent: as built.")
    ] = None,
    json: Json = False,
) -> None:
    """Writes the questions as tasks of lm-evaluation-harness."""
    from ltu.shard.harness.tasks import write_tasks

    benchmark = read_spec(spec)
    names = write_tasks(benchmark, clips or Path(benchmark.header["clips_folder"]), out)
    show({"folder": str(out), "tasks": ",".join(names)}, json)


def _is_results(file: Path) -> bool:
    if not file.is_file():
        raise Error(f"{file}: no such file")
    with file.open("rb") as opened:
        return opened.read(15) == b"SQLite format 3"


def _other_run(results: Path, against: str) -> Any:
    """FILE, FILE:RUN or :RUN of the same file."""
    from ltu.shard.score.scored import load_run

    name, _, number = against.rpartition(":") if against.rpartition(":")[2].isdigit() else (against, "", "")
    return load_run(Store(Path(name) if name else results), int(number) if number else None)


def _word_row(spec: Spec, label: str) -> dict[str, Any]:
    word = spec.word(label)
    clips = sum(clip.label == label for clip in spec.clips)
    terms = {column: ", ".join(terms) for column, terms in word.terms.items()}
    return {"label": label, "group": word.group, "synset": word.synset, "clips": clips, **terms}
