"""mkdocs hooks: the repository's pages join the site, and links out of docs/ go to copies of their files."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"\[(?P<text>[^][]*)\]\((?![a-z]+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
COPIES = "repository"  # the folder of files that pages link to, by their paths in the repository


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the root's pages and every file that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    for page in [file for file in files if file.src_uri.endswith(".md")]:
        for target in _linked(page):
            outside = _site_path(target)
            if target.is_file() and outside and files.get_file_from_path(outside) is None:
                files.append(File.generated(config, outside, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links where their targets stand in the site; a folder's becomes its text."""
    source = Path(page.file.abs_src_path or "")

    def rewritten(match: re.Match[str]) -> str:
        target = (source.parent / match["path"]).resolve()
        if target.is_dir():
            return match["text"]
        place = _site_path(target) if target.exists() else None
        if place is None:
            return match[0]  # strict mode says what is wrong with it
        here = str(PurePosixPath(page.file.src_uri).parent)
        return f"[{match['text']}]({relpath(place, here)}{match['anchor'] or ''})"

    return LINK.sub(rewritten, markdown)


def _linked(page: File) -> Iterator[Path]:
    source = Path(page.abs_src_path or "")
    for match in LINK.finditer(source.read_text(encoding="utf-8")):
        yield (source.parent / match["path"]).resolve()


def _site_path(target: Path) -> str | None:
    """Where a file of the repository stands in the site."""
    if not target.is_relative_to(ROOT):
        return None
    path = target.relative_to(ROOT).as_posix()
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{COPIES}/{path}"
