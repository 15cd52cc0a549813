"""What was captured is found again by what it depends on, and refused where that is not what it says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.summarise import captures

BINDING = {"model": "m1", "decoding": {"beams": 1}, "data": "d1"}


def make(folder: Path, text: str = "captured") -> None:
    artifacts.write_text(folder / "texts.txt", text)


def test_it_is_made_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def counted(folder: Path) -> None:
        calls.append(folder)
        make(folder)

    folder = captures.entry(tmp_path, BINDING, counted)
    assert captures.entry(tmp_path, dict(reversed(BINDING.items())), counted) == folder
    assert len(calls) == 1 and (folder / "texts.txt").read_text() == "captured"


@given(st.sampled_from(sorted(BINDING)), st.one_of(st.text(), st.integers(), st.none()))
def test_anything_else_has_another_name(key: str, value: object) -> None:
    assert (captures.name(BINDING | {key: value}) == captures.name(BINDING)) == (BINDING[key] == value)


def test_a_capture_that_broke_off_leaves_nothing_but_its_lock(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        make(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        captures.entry(tmp_path, BINDING, broken)
    assert [each.suffix for each in tmp_path.iterdir()] == [".lock"]


def test_what_was_captured_from_something_else_is_refused(tmp_path: Path) -> None:
    folder = captures.entry(tmp_path, BINDING, make)
    with pytest.raises(ArtifactError, match=r"captured from something else \(model: 'm1', not 'm2'\); delete it"):
        captures.require(folder, BINDING | {"model": "m2"})
    moved = tmp_path / captures.name(BINDING | {"data": "d2"})
    folder.rename(moved)
    with pytest.raises(ArtifactError, match=r"\(data: 'd1', not 'd2'\)"):
        captures.entry(tmp_path, BINDING | {"data": "d2"}, make)


def test_files_that_changed_are_refused(tmp_path: Path) -> None:
    folder = captures.entry(tmp_path, BINDING, make)
    make(folder, "edited")
    with pytest.raises(ArtifactError, match=r"texts\.txt is not what was captured; delete it"):
        captures.entry(tmp_path, BINDING, make)
    (folder / "texts.txt").unlink()
    with pytest.raises(ArtifactError, match=r"texts\.txt is not what was captured"):
        captures.entry(tmp_path, BINDING, make)
