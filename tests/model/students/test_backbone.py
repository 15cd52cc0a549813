"""A student on another backbone, saved with the record of it."""

from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.model import student
from breviary.model.adapters import lora
from breviary.model.student import RECORD, Ground
from breviary.model.students import backbone

LORA = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj"])


def test_it_is_a_fresh_adapter_and_names_its_own_backbone(tiny: Any, tmp_path: Path) -> None:
    options = backbone.Options.model_validate({"kind": "backbone", "backbone": {"kind": "tiny", "width": 32}})
    assert options.backbone.width == 32
    made = student.build(options, Ground(tiny.record, tiny.model, LORA, None, lambda model: 0.0, 0))
    assert made.model.peft_config["default"].r == 4 and made.removed == []
    student.save(made, tmp_path / "student", tiny.record, tmp_path / "own.json")
    assert artifacts.read_json(tmp_path / "student" / RECORD) == artifacts.read_json(tiny.record)
    student.save(made, tmp_path / "student", tiny.record, tiny.record)
    assert not (tmp_path / "student" / RECORD).exists()
