"""What `breviary summarise` prints, and what it says to a file, or to a model, that is of no use."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from breviary import cli, config
from breviary.cli.summarise import summarise
from breviary.errors import BudgetError
from breviary.model.limit import Limit, start
from breviary.serve import choice
from breviary.summarise import asked
from breviary.summarise.levels import Grounded


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


class Answers:
    """Answers with the first sentence; refuses a text that asks for it."""

    limit = staticmethod(start)

    def answer(self, text: str, request: asked.Request, limit: Limit) -> asked.Told:
        if "refuse" in text:
            raise BudgetError("this cannot be done in 1 ms; allow more time")
        yield asked.Progress(0, 2)
        first = text.partition(".")[0] + "."
        sentence = Grounded(first, [0], [(0, len(first))])
        assert request.mode == "extract"
        return asked.Answer(first, [sentence], 5, limit.ms or 9.0, "greedy", request.mode, "", False, True, 1, 1)


@pytest.fixture
def answering(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    params = config.read(project / "params.yaml")
    found = choice.Choice("base", params, project / "base.json", None, "summarised with base")
    monkeypatch.setattr(choice, "choose", lambda name: found)
    monkeypatch.setattr(choice, "content", lambda found: "c0ffee")
    monkeypatch.setattr(asked, "answerer", lambda *_: Answers())
    (project / "a.txt").write_text("Walls are old. They stand.")
    (project / "b.md").write_text("Bees dance. They fly.")
    return project


def test_several_files_and_standard_input_are_summarised_in_turn(answering: Path) -> None:
    result = CliRunner().invoke(summarise, ["a.txt", "-", "b.md", "--mode", "extract"], input="Snow falls. It melts.\n")
    assert result.exit_code == 0
    assert result.stdout == "a.txt\nWalls are old.\n\n-\nSnow falls.\n\nb.md\nBees dance.\n\n"
    assert "summarised with base" in result.stderr
    assert "a.txt: a part of it was not read (mode extract)" in result.stderr


def test_one_file_gives_its_summary_and_nothing_else(answering: Path) -> None:
    assert CliRunner().invoke(summarise, ["a.txt", "--mode", "extract"]).stdout == "Walls are old.\n"


def test_json_is_a_line_a_file_with_sources_and_the_model(answering: Path) -> None:
    result = CliRunner().invoke(summarise, ["a.txt", "b.md", "--json", "--mode", "extract", "--max-ms", "500"])
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["file"], first["text"], first["model"], first["model_hash"]) == (
        "a.txt",
        "Walls are old.",
        "base",
        "c0ffee",
    )
    assert first["sentences"] == [{"text": "Walls are old.", "chunks": [0], "spans": [[0, 14]]}]
    assert second["ms"] == pytest.approx(500)


def test_a_file_that_cannot_be_summarised_is_told_and_the_others_go_on(answering: Path) -> None:
    (answering / "no.txt").write_text("please refuse this.")
    result = CliRunner().invoke(summarise, ["gone.txt", "no.txt", "b.md", "--mode", "extract"])
    assert result.exit_code == 2
    assert "gone.txt: there is no such file" in result.stderr
    assert "no.txt: this cannot be done in 1 ms" in result.stderr
    assert result.stdout == "b.md\nBees dance.\n\n"
