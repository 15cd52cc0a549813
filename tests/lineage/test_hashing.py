"""Digests as DVC makes them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from breviary import artifacts
from breviary.lineage import hashing
from breviary.tracking import fingerprint


def test_known_values(tmp_path: Path) -> None:
    """From a dvc.lock that DVC 3.67.1 wrote."""
    for name in ("a.txt", "a b.txt", "a/z.txt"):
        artifacts.write_text(tmp_path / "out" / name, "x=1\n")
    artifacts.write_text(tmp_path / "out/p", "data:\n  n: 1\n  l: [1, 2]\ntrain:\n  lr: 1e-4\n")
    assert hashing.of_path(tmp_path / "out/a.txt") == "f968f33f844c98de1d3b4fe70f2e1a0f"
    assert hashing.of_path(tmp_path / "out/p") == "cfab5fed7e55f6154375ce6918b0d91f"
    assert hashing.of_path(tmp_path / "out") == "c5b0030024de2c8cd4b6a216489826b1.dir"


def test_what_is_ignored_is_no_part_of_a_folder(tmp_path: Path) -> None:
    artifacts.write_text(tmp_path / "a.py", "a")
    before = hashing.of_folder(tmp_path)
    artifacts.write_text(tmp_path / "__pycache__/a.pyc", "b")
    assert hashing.of_folder(tmp_path) != before
    assert hashing.of_folder(tmp_path, hashing.patterns("# note\n\n__pycache__/\n*.pyc\n")) == before


@given(st.dictionaries(st.text("abé ü.", min_size=1), st.binary(), min_size=1, max_size=5))
def test_the_stage_and_the_lineage_agree(files: dict[str, bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            if name.strip("."):
                (Path(folder) / name).write_bytes(content)
        if any(Path(folder).iterdir()):
            assert hashing.of_folder(Path(folder)) == fingerprint.inputs([Path(folder)])[0].md5
