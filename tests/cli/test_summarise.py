"""What `breviary summarise` says to a file, or to a model, that is of no use."""

import sys
from pathlib import Path

import pytest

from breviary import cli


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing is trained yet."""
    params = Path(cli.__file__).parents[3] / "params.yaml"
    (tmp_path / "params.yaml").write_bytes(params.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["breviary", "summarise", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"", "breviary: empty.txt: no words in it; name a file"),
        ("blank.md", b" \n\n\t", "breviary: blank.md: no words in it; name a file"),
        ("latin.txt", "Le café".encode("latin-1"), "breviary: latin.txt: not UTF-8: unexpected end of data at byte 6"),
        ("noise.txt", bytes(range(256)), "breviary: noise.txt: named .txt, but its bytes are of the format 'binary'"),
        ("a.docx", b"hi", "breviary: a.docx: its name ends in none of .html, .md, .pdf, .srt, .txt, .vtt; rename or"),
        ("plain", b"hi", "breviary: plain: its name ends in none of .html, .md,"),
        ("a.vtt", b"WEBVTT\n\n00:01 --> 2\nhello\n", "breviary: a.vtt:3: not a timing line"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_a_remedy(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes,
    message: str,
) -> None:
    (project / name).write_bytes(content)
    assert said(capsys, monkeypatch, name, "--model", "base").startswith(message)


def test_a_model_that_is_not_trained_is_named_with_those_that_are(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "a.txt").write_text("words")
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert said(capsys, monkeypatch, "a.txt") == (
        "breviary: no trained model 'phase3' (there is: base); run `dvc repro`, or `dvc pull`\n"
    )
