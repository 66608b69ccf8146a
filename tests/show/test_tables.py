"""The same table, shown in each way."""

import csv
import io
from html.parser import HTMLParser

from ltu.show.csv import to_csv
from ltu.show.html import document_of, figures_of, heading_of, table_of
from ltu.show.markdown import to_markdown
from ltu.show.table import Table, number, with_interval
from ltu.show.terminal import to_terminal

TABLE = Table(
    "Verdicts",
    ("task", "asked", "J", "verdict"),
    [
        ("synonym", "long", ".52 [.41, .63]", "shown"),
        ("synonym", "short", "–", "not <shown>"),
        ("synonym", "short", "a|b", "shown"),
        ("hypernym", "short", ".10", "shown"),
    ],
    "A note.",
    strong=(3,),
)


class Page(HTMLParser):
    """Ids, and the cells of each row of the first table with how many rows they take."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.rows: list[list[tuple[str, int]]] = []
        self.scopes: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append((tag, int(given.get("rowspan") or 1)))
        if tag == "th":
            self.scopes.append(given.get("scope"))


def test_cells_that_repeat_are_one_cell_and_every_row_has_all_columns() -> None:
    rows = Page(table_of(TABLE)).rows[1:]
    assert rows[0][0] == ("th", 3)
    assert [len(row) for row in rows] == [4, 3, 2, 4]
    covered = [
        sum(height > at - start for start in range(at + 1) for _, height in rows[start]) for at in range(4)
    ]
    assert covered == [4, 4, 4, 4]


def test_every_heading_of_a_table_says_what_it_is_the_heading_of() -> None:
    assert set(Page(table_of(TABLE)).scopes) == {"col", "rowgroup", "row"}


def test_figures_on_one_page_share_no_ids_and_keep_their_references() -> None:
    svg = '<svg><path id="m1" style="stroke: #000000"/><use href="#m1" clip-path="url(#m1)"/></svg>'
    text = document_of("x", [figures_of([("one", svg), ("two & more", svg)])])
    assert sorted(Page(text).ids) == ["f0-m1", "f1-m1"]
    assert text.count('href="#f1-m1"') == text.count("url(#f1-m1)") == 1
    assert "#000000" not in text
    assert 'aria-label="two &amp; more"' in text


def test_what_is_strong_is_so_in_each_way_and_never_as_signs() -> None:
    assert "**" not in table_of(TABLE) + to_terminal("", (), [TABLE])
    assert "<strong>not &lt;shown&gt;</strong>" in table_of(TABLE)
    assert "| **shown** |" in to_markdown("", (), [TABLE])


def test_signs_of_markdown_and_html_in_a_cell_stay_text() -> None:
    assert r"a\|b" in to_markdown("", (), [TABLE])
    assert "<i>" not in heading_of("<i>", ["<i>"])


def test_csv_is_read_back_as_it_was() -> None:
    rows = [("a,b", 0.1, None), ('say "x"', 2, "ü")]
    found = list(csv.reader(io.StringIO(to_csv(("x", "y", "z"), rows))))
    assert found == [["x", "y", "z"], ["a,b", "0.1", ""], ['say "x"', "2", "ü"]]


def test_figures_are_written_without_leading_zeros() -> None:
    assert [number(v) for v in (0.5, -0.25, -0.001, 1.5, None)] == [".50", "−.25", ".00", "1.50", "–"]
    assert with_interval(0.5, -0.1, 1.1) == ".50 [−.10, 1.10]"
    assert with_interval(0.0, 0.0, 0.0) == with_interval(0.0, None, None) == ".00"
