"""The report's page in Chromium at a phone's width: `make test-page`."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake import Benchmark

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Page, sync_playwright

from ltu.shard.report.document import report
from ltu.shard.report.page import page as page_of
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.score.scored import load_run

CHROMIUM = os.environ.get("LTU_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
REACHED = """table => {
    const box = table.parentElement, header = [...table.querySelectorAll('thead th')].at(-1);
    box.scrollLeft = box.scrollWidth;
    return header.getBoundingClientRect().right <= window.innerWidth + 1;
}"""


@pytest.fixture(scope="module")
def page(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("phone")
    store = Store(folder / "r.db", create=True)
    model = benchmark.model(folder / "m.gguf")
    with store.writing():
        settings = Settings(repeats=1, controls=True)
        sweep(model, store, prepare(store, benchmark.spec, model, benchmark.folder, settings), print, {})
    run = load_run(store)
    (folder / "page.html").write_text(page_of(run, report(run)), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 375, "height": 740})
        page.goto((Path(folder) / "page.html").as_uri())
        yield page
        browser.close()


def test_the_page_itself_does_not_scroll_sideways(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_every_table_can_be_scrolled_to_its_last_column(page: Page) -> None:
    """A screen of 420 pixels lost "recall" without a sign."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    tables = page.query_selector_all("table")
    assert len(tables) > 5
    assert [table.inner_text()[:60] for table in tables if not table.evaluate(REACHED)] == []


def test_every_player_can_be_touched(page: Page) -> None:
    """Beside its picture it had no width."""
    boxes = [player.bounding_box() for player in page.query_selector_all("audio")]
    assert len(boxes) > 10
    assert all(
        box and box["width"] > 170 and box["height"] > 24 and box["x"] + box["width"] <= 375 for box in boxes
    )
