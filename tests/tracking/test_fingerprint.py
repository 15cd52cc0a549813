"""The key of a run: the same in two clones, another one for anything that could change the result."""

from pathlib import Path

import pytest

from breviary.errors import ArtifactError
from breviary.tracking import fingerprint


@pytest.fixture
def files(project: Path) -> list[Path]:
    Path("d/sub").mkdir(parents=True)
    for name, text in {"a.txt": "hi\n", "d/x": "x", "d/sub/y": "y", "d/a b": "é"}.items():
        Path(name).write_text(text, encoding="utf-8")
    return [Path("a.txt"), Path("d")]


def test_digests_are_those_that_dvc_writes(files: list[Path]) -> None:
    """The two values are from `dvc add a.txt d` with DVC 3.67.1."""
    expected = [
        ("a.txt", "764efa883dda1e11db47671c4a3bbd9e"),
        ("d", "b8b4fca6af9bb83fc3671e370de24a32.dir"),
    ]
    assert [(item.name, item.md5) for item in fingerprint.inputs(files)] == expected


def test_key_does_not_depend_on_where_the_project_is(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = fingerprint.key("chunk", {"a": 1}, fingerprint.inputs(files))
    elsewhere = tmp_path_factory.mktemp("clone")
    for path in (Path("a.txt"), Path("d/x"), Path("d/sub/y"), Path("d/a b")):
        (elsewhere / path).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / path).write_bytes(path.read_bytes())
    monkeypatch.chdir(elsewhere)
    assert fingerprint.key("chunk", {"a": 1}, fingerprint.inputs(files)) == here


@pytest.mark.parametrize("changed", ["stage", "param", "content", "name in folder", "code", "version"])
def test_key_changes_with(changed: str, files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "loop.py").write_text("1")
    monkeypatch.setattr(fingerprint, "PACKAGE", package)
    before = fingerprint.key("chunk", {"a": {"b": 1}}, fingerprint.inputs(files))
    stage, params = "chunk", {"a": {"b": 1}}
    match changed:
        case "stage":
            stage = "mix"
        case "param":
            params = {"a": {"b": 2}}
        case "content":
            Path("d/sub/y").write_text("z")
        case "name in folder":
            Path("d/x").rename("d/z")
        case "code":
            (package / "loop.py").write_text("2")
        case "version":
            monkeypatch.setattr(fingerprint, "version", lambda package: "0")
    assert fingerprint.key(stage, params, fingerprint.inputs(files)) != before


def test_order_of_params_does_not_matter(project: Path) -> None:
    assert fingerprint.key("x", {"a": 1, "b": 2}, []) == fingerprint.key("x", {"b": 2, "a": 1}, [])


def test_everything_missing_is_named_at_once(files: list[Path]) -> None:
    with pytest.raises(ArtifactError, match=r"missing: data/a, data/b; run `dvc repro`"):
        fingerprint.inputs([*files, Path("data/a"), Path("data/b")])
