"""Every arm of the ablation is a valid experiment that changes what its name says, and nothing else."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import arms, experiments
from breviary import config
from breviary.cli import overlays
from breviary.learn import compatibility

pytestmark = pytest.mark.slow  # hydra's imports and forty checks of all params

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = {
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "num_hidden_layers": 30,
    "intermediate_size": 1536,
    "vocab_size": 49152,
}
PHASE2 = {
    "no_ewc": {"terms": {"contrastive", "cross_entropy"}},
    "no_oplora": {"constraints": set()},
    "no_crossclr": {"terms": {"cross_entropy", "ewc"}},
    "no_replay": {"shares": {"talk"}},
    "plain": {"terms": {"cross_entropy"}, "constraints": set(), "shares": {"talk"}},
    "ewc_only": {"terms": {"cross_entropy", "ewc"}, "constraints": set(), "shares": {"talk"}},
    "ewc_replay": {"terms": {"cross_entropy", "ewc"}, "constraints": set()},
}
FULL = {"terms": {"contrastive", "cross_entropy", "ewc"}, "constraints": {"orthogonal"}, "shares": {"talk", "replay"}}


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """params.yaml as each arm's experiment has it, by DVC's own hand."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "profiles", project / "profiles")
    shutil.copyfile(ROOT / "params.yaml", project / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        shared = [word for word in overlays.arguments("forgetting") if word != "-S"]
        return {name: experiments.overridden([*shared, *arm.changes]) for name, arm in arms.ARMS.items()}


@pytest.mark.parametrize("name", arms.ARMS)
def test_an_arm_is_valid_and_its_methods_work_together(
    name: str, params: Mapping[str, dict[str, Any]], tmp_path: Path
) -> None:
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(params[name], file)
    compatibility.check(config.read(tmp_path / "params.yaml"), SMOLLM2)


@pytest.mark.parametrize("name", sorted((arms.MAIN | arms.ADDED).keys() - {arms.FULL}))
def test_an_arm_changes_something(name: str, params: Mapping[str, dict[str, Any]]) -> None:
    """Not so in a sweep, one value of which may be the profile's own."""
    assert params[name] != params[arms.FULL]


@pytest.mark.parametrize("name", [arms.FULL, *PHASE2])
def test_an_arm_has_the_methods_that_its_name_says(name: str, params: Mapping[str, dict[str, Any]]) -> None:
    phase, mixture = params[name]["train_phase2"], params[name]["mix"]["phase2"]["shares"]
    found = {"terms": set(phase["terms"]), "constraints": set(phase["constraints"]), "shares": set(mixture)}
    assert found == FULL | PHASE2.get(name, {})


def test_all_arms_measure_and_split_alike(params: Mapping[str, dict[str, Any]]) -> None:
    for section in ("data", "chunk", "pairs", "prompt", "likelihood", "backbone", "compute", "adapter"):
        assert all(each[section] == params[arms.FULL][section] for each in params.values())
    assert params[arms.FULL]["chunk"]["split"]["seed"] is not None, "seeds would not share documents"


def test_one_phase_sees_as_many_examples_as_two(params: Mapping[str, dict[str, Any]]) -> None:
    mix = params[arms.PLAIN]["mix"]
    assert params["mixed"]["mix"]["phase1"]["examples"] == mix["phase1"]["examples"] + mix["phase2"]["examples"]


def test_a_misspelt_key_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("mix: {phase1: {examples: 4}}\n")
    assert experiments.overridden(["mix.phase1.examples=5"]) == {"mix": {"phase1": {"examples": 5}}}
    with pytest.raises(ValueError, match=r"Could not override 'mix.phase1.exmples'"):
        experiments.overridden(["mix.phase1.exmples=5"])


def test_groups_and_arms_are_chosen_by_name_once() -> None:
    assert arms.chosen("main")[0] == arms.FULL
    assert arms.chosen("plain,main,plain")[0] == "plain"
    assert sorted(arms.chosen("plain,main")) == sorted(arms.MAIN)
    with pytest.raises(ValueError, match="no arm 'plian'; groups: main, added, sweep; arms: full"):
        arms.chosen("plian")
