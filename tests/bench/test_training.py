"""What cannot be compared is refused before any model is loaded."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import training


@pytest.mark.parametrize(
    ("trainers", "said"),
    [
        ("breviary,axolotl", "no trainer is called axolotl; there are trl, peft"),
        ("trl,peft", "the others are compared with breviary; name it too"),
    ],
)
def test_trainers_are_named_and_have_something_to_be_compared_with(trainers: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl.gz"
    file.touch()
    done = CliRunner().invoke(training.main, [str(file), "--trainers", trainers])
    assert done.exit_code == 2
    assert said in done.output
