"""The profiles of this project: each is valid with params.yaml as it stands, and `cpu` leads back from any of them."""

import shutil
from pathlib import Path

import pytest

from breviary import config
from breviary.cli import overlays
from breviary.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("profiles", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_the_four() -> None:
    assert {"cpu", "tiny", "mistral-7b-16gb", "qwen2.5-3b-news"} <= set(NAMES)


def test_cpu_is_what_params_yaml_says(project: Path) -> None:
    assert overlays.changes("cpu") == [], "params.yaml was changed: change profiles/cpu.yaml in the same way"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_valid_can_be_an_experiment_and_is_undone_by_cpu(name: str, project: Path) -> None:
    before = config.read(overlays.PARAMS).plain()
    assert overlays.purpose(name)
    if name == "multi-gpu":  # a command has spaces, which `-S` cannot say
        with pytest.raises(ConfigError, match=r"use `breviary profile apply multi-gpu` instead"):
            overlays.arguments(name)
    else:
        assert overlays.arguments(name) or name == "cpu"
    overlays.apply(name)
    config.read(overlays.PARAMS)
    overlays.apply("cpu")
    assert config.read(overlays.PARAMS).plain() == before


def test_mistral_is_the_card_of_its_source(project: Path) -> None:
    overlays.apply("mistral-7b-16gb")
    params = config.read(overlays.PARAMS).plain()
    assert params["backbone"]["name"] == "mistralai/Mistral-7B-v0.1"
    assert params["compute"]["quantisation"] == "nf4"
    adapter = params["adapter"]
    assert (adapter["rank"], adapter["alpha"], adapter["dropout"], len(adapter["targets"])) == (32, 64, 0.1, 7)
    phases = [params[f"train_phase{number}"] for number in (1, 2, 3)]
    assert [phase["epochs"] for phase in phases] == [3, 1, 1]
    assert [phase["optimizer"]["lr"] for phase in phases] == [1e-4, 5e-5, 2.5e-5]
    assert {(phase["batch"], phase["micro_batch"], phase["optimizer"]["kind"]) for phase in phases} == {
        (24, 3, "paged_adamw_8bit")
    }


def test_qwen_is_the_card_of_its_source(project: Path) -> None:
    overlays.apply("qwen2.5-3b-news")
    params = config.read(overlays.PARAMS).plain()
    assert params["backbone"]["name"] == "Qwen/Qwen2.5-3B"
    assert params["adapter"]["targets"] == ["q_proj", "v_proj", "up_proj", "down_proj"]
    assert (params["adapter"]["rank"], params["adapter"]["alpha"], params["adapter"]["dropout"]) == (16, 32, 0.5)
    assert params["train_phase1"]["optimizer"]["lr"] == 1e-5
    assert params["prompt"]["style"] == "inst"
    assert [source["repository"] for source in params["data"]["sources"]] == ["abisee/cnn_dailymail"]
