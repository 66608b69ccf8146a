"""Files are written whole or not at all, and only where a file belongs."""

import errno
import gzip
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltu import files
from ltu.errors import Error
from ltu.text_files import read_table

needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_sha256_is_that_of_all_bytes_in_turn(tmp_path: Path) -> None:
    large = bytes(range(256)) * (files.BLOCK // 128)
    (tmp_path / "one").write_bytes(large)
    (tmp_path / "two").write_bytes(b"end")
    assert files.sha256(tmp_path / "one") == hashlib.sha256(large).hexdigest()
    assert files.sha256(tmp_path / "one", tmp_path / "two") == hashlib.sha256(large + b"end").hexdigest()


def test_nobody_sees_a_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")
    with files.replacing_text(path) as file:
        file.write("after")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert names(tmp_path) == ["out.txt"]


def write_half(path: Path, failure: type[BaseException]) -> None:
    with files.replacing_text(path) as file:
        file.write("half")
        raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_in_the_middle_leaves_what_was_there(
    tmp_path: Path, failure: type[BaseException], existed: bool
) -> None:
    path = tmp_path / "out.txt"
    if existed:
        path.write_text("before")
    with pytest.raises(failure):
        write_half(path, failure)
    assert names(tmp_path) == (["out.txt"] if existed else [])
    assert not existed or path.read_text() == "before"


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target.txt", tmp_path / "link.txt"
    target.write_text("before")
    link.symlink_to(Path("there") / "target.txt")
    files.write_text(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert names(tmp_path / "there") == ["target.txt"]


def test_a_link_to_nothing_gets_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to("target.txt")
    files.write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "target.txt").read_text() == "new"


@pytest.mark.parametrize("bits", [0o640, 0o600, 0o664, 0o755])
def test_a_replaced_file_leaves_its_mode(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")
    path.chmod(bits)
    with files.replacing(path) as draft:
        assert mode(draft) == 0o600, "nobody reads the draft of a private file"
        draft.write_text("after")
    assert (mode(path), path.read_text()) == (bits, "after")


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_new_file_has_the_mode_that_open_would_give_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "ours", "")
        (tmp_path / "theirs").write_text("")
    finally:
        os.umask(before)
    assert mode(tmp_path / "ours") == mode(tmp_path / "theirs") == 0o666 & ~umask


def test_what_is_no_regular_file_is_refused_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "folder").mkdir()
    Path("to_null").symlink_to(os.devnull)
    for path, what in (
        (os.devnull, "a device"),
        ("to_null", "a device"),
        ("folder", "a folder"),
        ("pipe", "a pipe"),
        ("-", "standard output"),
        ("pipe/below", "Not a directory"),
    ):
        with pytest.raises(Error) as problem, files.replacing(path):
            pytest.fail("the work has begun")
        assert str(problem.value).startswith(f"{path}: ")
        assert what in str(problem.value)
        assert "\n" not in str(problem.value)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert names(tmp_path) == ["folder", "pipe", "to_null"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Error, match=r"missing/out\.txt: there is no folder .*missing; make it"):
        files.write_text(tmp_path / "missing" / "out.txt", "")


@needs_permissions
def test_a_read_only_folder_and_a_write_protected_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("before")
    (tmp_path / "out.txt").chmod(0o444)
    with pytest.raises(Error, match=r"out\.txt: is write-protected"):
        files.write_text(tmp_path / "out.txt", "after")
    tmp_path.chmod(0o555)
    with pytest.raises(Error, match=r"new\.txt: cannot be written: Permission denied"):
        files.write_text(tmp_path / "new.txt", "")
    tmp_path.chmod(0o755)
    assert (tmp_path / "out.txt").read_text() == "before"


def test_a_full_disk_is_said_in_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")
    program = (
        "import resource, signal, sys; from ltu import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"  # writing more fails, as on a full disk
        "files.write_text(sys.argv[1], 'x' * 100000)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert f"Error: {path}: cannot be written: {os.strerror(errno.EFBIG)}" in done.stderr
    assert path.read_text() == "before"
    assert names(tmp_path) == ["out.txt"]


def test_a_failure_at_another_file_keeps_its_own_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), files.replacing(tmp_path / "out.txt"):
        (tmp_path / "source.txt").read_text()
    assert names(tmp_path) == []


def test_a_name_as_long_as_a_file_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ß" * 127)
    files.write_text(path, "x")
    assert path.read_text() == "x"


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [{"name": "a\u2028b\u0085c\nd", "list": [1, 2.5, None]}, {}, {"ü": "\x1f"}]
    files.write_json_lines(tmp_path / "rows.jsonl", rows)
    assert list(files.read_json_lines(tmp_path / "rows.jsonl")) == list(enumerate(rows, 1))
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert [json.loads(line) for line in lines] == rows


def test_a_mark_blank_lines_and_windows_line_ends_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n\xef\xbb\xbf{"a": 2}')
    assert list(files.read_json_lines(path)) == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a": 1}\n{"a": \n', "rows.jsonl:2: is not a row of ours: Expecting value"),
        (b'{"a": 1}\n\n[1]\n', "rows.jsonl:3: is not a row of ours: it is no JSON object"),
        (
            '{"a": 1}\n{"a": "ä"}\n'.encode("latin-1"),
            r"rows.jsonl:2: is not UTF-8 text \(it has the byte 0xe4",
        ),
        ('{"a": 1}\n'.encode("utf-16-le"), "rows.jsonl: is not text in UTF-8: it holds NUL"),
        (b"\x1f\x8b\x08\x00", "rows.jsonl: cannot be read: "),
        (gzip.compress(b'{"a": 1}\n')[:-4], "rows.jsonl: cannot be read: Compressed file ended"),
        (b'{"a": "\\ud83d"}', r"rows.jsonl:1: is not a row of ours: it holds half a character, \\ud83d"),
        (b"version https://git-lfs.github.com/spec/v1", "rows.jsonl: is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "rows.jsonl: is a web page"),
        (b"PK\x03\x04", "rows.jsonl: is a zip archive or a spreadsheet"),
        (b"[" * 100_000, "rows.jsonl:1: is not a row of ours"),
    ],
)
def test_what_are_no_rows_is_named_with_its_line(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(Error, match=problem):
        list(files.read_json_lines(tmp_path / "rows.jsonl", "a row of ours"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_is_read_as_its_mark_says_and_unpacked(
    tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(pack('{"a": "ä\u2028鳥"}\r\n\n{"b": "🐦"}'.encode(encoding)))
    assert list(files.read_json_lines(path)) == [(1, {"a": "ä\u2028鳥"}), (3, {"b": "🐦"})]


def test_a_quotation_mark_without_another_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for rows in (['"a,1', "b,2"], ['"a,1', '"b",2'], ['a,"1"x', "b,2"]):
        path.write_text("\n".join(["name,number", "c,3", *rows]))
        with pytest.raises(Error, match=r"table\.csv:3: is not a line of CSV: a quotation mark"):
            list(read_table(path, ("name",)))


def test_a_missing_file_of_rows_is_named(tmp_path: Path) -> None:
    with pytest.raises(Error, match=r"rows\.jsonl: cannot be read: No such file"):
        list(files.read_json_lines(tmp_path / "rows.jsonl"))
