"""What may stand before the script of a training stage."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from breviary.learn import launch


def test_python_or_an_accelerate_launch_with_a_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert launch.Options(command="python").command == "python"
    with pytest.raises(ValidationError, match=r"configs/accelerate/ddp\.yaml is not there; shipped are those in"):
        launch.Options(command=launch.ACCELERATE)
    with pytest.raises(ValidationError, match=r"mine\.yaml is not there"):
        launch.Options(command="accelerate launch --config_file=mine.yaml")
    Path("configs/accelerate").mkdir(parents=True)
    Path("configs/accelerate/ddp.yaml").touch()
    assert launch.Options(command=launch.ACCELERATE).command == launch.ACCELERATE
    assert launch.Options(command="accelerate launch --num_processes 2").command.endswith("2")


@pytest.mark.parametrize(
    "command", ["", "python3", "accelerate launch", "python; rm x", "accelerate launch $(x)", "mpirun"]
)
def test_nothing_else_since_a_shell_reads_it(command: str) -> None:
    with pytest.raises(ValidationError, match="must be written like 'accelerate launch --config_file"):
        launch.Options(command=command)
