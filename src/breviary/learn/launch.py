"""How training and Fisher stages are started: `python`, or `accelerate launch` for several processes.

dvc.yaml puts the command before the stage's script, so that it is part of what DVC compares: another number of
processes adds gradients in another order, and gives other last bits. The stages only check that it is one that can
work.
"""

from itertools import pairwise
from pathlib import Path

from pydantic import Field, model_validator

from breviary import config
from breviary.errors import ConfigError

ACCELERATE = "accelerate launch --config_file configs/accelerate/ddp.yaml --num_processes 8"


class Options(config.Options):
    """The words before the script's path. No others than these can be given: a shell reads them."""

    command: str = Field(pattern=r"^(python|accelerate launch( [\w./=,:-]+)+)$", examples=[ACCELERATE])

    @model_validator(mode="after")
    def _configuration_is_there(self) -> "Options":
        for flag, path in pairwise(self.command.replace("=", " ").split()):
            if flag == "--config_file" and not Path(path).is_file():
                raise ConfigError(f"command: {path} is not there; shipped are those in configs/accelerate")
        return self
