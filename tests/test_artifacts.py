"""What is written is read again, whole or not at all, and the same content is the same bytes."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.records import Document

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\u2028", "a\u2029b", "\n", "\r\n", "a\rb", "\x85", "\x1c", "\x0b\x0c", "\ufeff", '"\\', "\x00"]
)
TIMES = st.lists(st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.mark.slow
@given(texts=st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT), max_size=4), times=TIMES)
def test_records_come_back(texts: list[tuple[str, ...]], times: list[tuple[int, float]], folder: Path) -> None:
    documents = [Document(*parts, times=tuple(times)) for parts in texts]
    path = folder / "documents.jsonl"
    artifacts.write_records(path, documents)
    assert artifacts.read_records(path, Document) == documents
    assert path.read_bytes().count(b"\n") == len(documents), "one line a record, whatever is in it"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON)
def test_json_comes_back(value: object, folder: Path) -> None:
    artifacts.write_json(folder / "value.json", value)
    assert artifacts.read_json(folder / "value.json") == value


def test_key_order_does_not_change_the_bytes(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "a", {"b": {"d": 1, "c": 2}, "a": 3})
    artifacts.write_json(tmp_path / "b", {"a": 3, "b": {"c": 2, "d": 1}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_json_is_refused_and_leaves_the_old_file(value: float, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    artifacts.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(path, {"a": value})
    assert artifacts.read_json(path) == {"a": 1}


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(KeyError), artifacts.atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here, path = platform.node(), tmp_path / "out.json"
    (tmp_path / f".out.json.{here}.{dead.pid}.part").mkdir()
    kept = [
        tmp_path / f".out.json.{here}.{os.getppid()}.part",  # somebody is at it
        tmp_path / f".out.json.not-{here}.{dead.pid}.part",  # its process is of another machine
        tmp_path / f".out.jsonl.{here}.{dead.pid}.part",  # another file's
        tmp_path / f".out.json.{here}.notes",
    ]
    for each in kept:
        each.write_text("half")
    artifacts.write_json(path, {})
    assert set(tmp_path.iterdir()) == {path, *kept}


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "models" / "phase1"
    for name in ("old", "new"):
        with artifacts.atomic(path) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["new"]
    with pytest.raises(KeyError), artifacts.atomic(path) as temporary:
        temporary.mkdir()
        raise KeyError
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_never_there_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a replacement is stopped: what has the folder's name is the old one, the new one, or nothing."""
    path, whole = tmp_path / "phase1", []

    def watched(work: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*given: object, **named: object) -> object:
            whole.append(sorted(file.name for file in path.iterdir()) if path.exists() else [])
            return work(*given, **named)

        return wrapped

    for name in ("old", "new"):
        with artifacts.atomic(path) as temporary:
            temporary.mkdir()
            for part in "ab":
                (temporary / f"{name} {part}").write_text(name)
            for module, function in ((os, "replace"), (os, "unlink"), (os, "rmdir"), (shutil, "rmtree")):
                monkeypatch.setattr(module, function, watched(getattr(module, function)))
        monkeypatch.undo()
    assert {tuple(each) for each in whole} <= {(), ("old a", "old b"), ("new a", "new b")}
    assert ["old a", "old b"] in whole and ["new a", "new b"] in whole
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"documents.jsonl: missing; run `dvc repro`"):
        artifacts.read_records(tmp_path / "documents.jsonl", Document)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"id": ', r":2: not a Document record \(Expecting value"),
        (b'{"id": "x"}', r":2: not a Document record \(keys differ: domain, "),
        (b"[]", r":2: not a Document record"),
        (b"7", r":2: not a Document record"),
        (b"\xff", r"not UTF-8"),
    ],
)
def test_a_bad_line_is_named(line: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    artifacts.write_records(path, [Document("paper", "T", "text")])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(ArtifactError, match=problem):
        artifacts.read_records(path, Document)


def test_json_that_is_not_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text('{"a": 1,\n "b"}')
    with pytest.raises(ArtifactError, match=r"base.json: not valid JSON .*line 2"):
        artifacts.read_json(path)


def test_keys_are_sorted_in_records(tmp_path: Path) -> None:
    artifacts.write_records(tmp_path / "d", [Document("paper", "T", "text")])
    keys = list(json.loads((tmp_path / "d").read_text()))
    assert keys == sorted(keys)


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert artifacts.sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
