"""BERTScore as a metric: names, baselines, settings, and the texts that have no score."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML
from transformers import BertConfig, BertModel, BertTokenizer

from breviary import artifacts
from breviary.errors import ConfigError, ModelError
from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import bertscore
from breviary.model import compute, resolve
from breviary.model.backbones import package

CHANCE = {"P": 0.2, "R": 0.25, "F": 0.5}
TEXTS = [Texts("a b c", "a b d", ""), Texts("", "a b", ""), Texts(" … ", "a b", ""), Texts("a", " … ", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two random layers whose words are letters."""
    compute.quiet()
    place = tmp_path_factory.mktemp("encoder")
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    BertTokenizer(vocab={name: number for number, name in enumerate(names)}).save_pretrained(place)
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(names), num_hidden_layers=2, **shape)).save_pretrained(place)
    return place


@pytest.fixture
def measured_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of baselines that knows the weights "fake"."""
    artifacts.write_json(tmp_path / "fake.json", {"layers": {str(layer): CHANCE for layer in range(3)}})
    monkeypatch.setattr(bertscore, "BASELINES", tmp_path)


def build(folder: Path, **options: Any):
    given = Given(encoder=lambda: folder, encoder_id=lambda: "fake")
    return bertscore.build(bertscore.Options(kind="bertscore", **({"encoder": None, "layer": 2} | options)), given)


def test_raw_and_rescaled(folder: Path, measured_baseline):
    found, *_ = build(folder).score(TEXTS)
    assert found.keys() == bertscore.HIGHER_IS_BETTER.keys()
    for kind, chance in zip(bertscore.KINDS, CHANCE.values(), strict=True):
        raw = found[f"bertscore_{kind}"]
        assert 0 < raw < 1
        assert found[f"bertscore_{kind}_rescaled"] == pytest.approx((raw - chance) / (1 - chance))


def test_the_same_text_scores_1_either_way(folder: Path, measured_baseline):
    (found,) = build(folder).score([Texts("a b c", "a b c", "")])
    assert list(found.values()) == pytest.approx([1] * 6)


def test_an_empty_summary_scores_0_and_no_reference_no_score(folder: Path, measured_baseline):
    _, *empty, without = build(folder).score(TEXTS)
    for found in empty:
        assert [found[name] for name in bertscore.RAW] == [0, 0, 0]
        assert found["bertscore_f1_rescaled"] == pytest.approx(-0.5 / 0.5)
    assert all(math.isnan(value) for value in without.values())
    assert build(folder).score([]) == []


def test_nothing_is_loaded_where_there_is_nothing_to_score(folder: Path, measured_baseline, monkeypatch):
    monkeypatch.setattr("breviary.model.bertscore.load", lambda *_: pytest.fail("loaded"))
    assert len(build(folder).score(TEXTS[1:])) == 3


def test_without_a_baseline_only_raw_numbers_are_there(folder: Path):
    metric = build(folder)
    found, *_ = metric.score(TEXTS)
    assert all(math.isfinite(found[name]) for name in bertscore.RAW)
    assert all(math.isnan(found[name]) for name in bertscore.RESCALED)
    assert metric.settings["baseline"] == "none: rescaled numbers are missing"


def test_the_settings_say_all_that_figures_must_share(folder: Path, measured_baseline):
    settings = build(folder).settings
    assert (settings["weights"], settings["layer"], settings["idf"], settings["tokens"]) == ("fake", 2, False, 512)
    assert settings["baseline values"] == {"precision": 0.2, "recall": 0.25, "f1": 0.5}
    assert settings["baseline"] == "breviary fake.json"


def test_the_last_layer_is_taken_where_the_authors_chose_none(folder: Path, measured_baseline):
    assert build(folder, layer=None).settings["layer"] == 2


def test_an_encoder_in_a_folder_is_named_by_its_weights(folder: Path):
    settings = build(folder, encoder=str(folder)).settings
    assert settings["encoder"] == str(folder)
    assert settings["weights"] == artifacts.sha256(folder / "model.safetensors")[:16]


@pytest.mark.parametrize("name", ["roberta-large", "FacebookAI/roberta-large"])
def test_the_authors_own_baselines_are_found_by_name(name):
    chance, whose = bertscore.baseline(bertscore.Encoder(Path(), name, "unknown"), 17)
    assert chance == pytest.approx([0.83151, 0.83149, 0.83123], abs=1e-4)
    assert whose == "bert_score 0.3.13 en/roberta-large.tsv"


def test_what_cannot_be_is_refused(folder: Path):
    with pytest.raises(ConfigError, match="section encoder has layers 0 to 2, got 3"):
        build(folder, layer=3)
    with pytest.raises(ModelError, match="neither a folder"):
        build(folder, encoder="roberta-large")
    with pytest.raises(ValidationError, match="layer"):
        bertscore.Options.model_validate({"kind": "bertscore", "encoder": None, "layer": -1})


def test_the_baseline_that_is_shipped_is_of_the_encoder_in_params_yaml():
    root = Path(__file__).parents[3]
    encoder = YAML().load((root / "params.yaml").read_text(encoding="utf-8"))["encoder"]
    known = artifacts.read_json(bertscore.BASELINES / f"{encoder['sha256'][:16]}.json")
    assert known["model"]["sha256"].startswith(known["weights"])
    assert known["pairs"] >= 3000
    assert known["layers"].keys() == {str(layer) for layer in range(7)}
    assert all(0 < value < 1 for layer in known["layers"].values() for value in layer.values())


@pytest.mark.slow
def test_agrees_with_the_authors_library_on_the_encoder_in_params_yaml():
    import bert_score

    root = Path(__file__).parents[3]
    weights = YAML().load((root / "params.yaml").read_text(encoding="utf-8"))["encoder"]["sha256"][:16]
    folder = resolve.cache() / "models" / f"{weights}-{package.FORMAT}"
    if not folder.is_dir():
        pytest.skip("the sentence encoder is not in the model cache; `dvc repro base_model` fetches it")
    compute.quiet()
    pairs = [
        ("A penalty keeps the papers.", "The older papers are kept by a penalty."),
        ("It rains.", "Bees build wax."),
    ]
    given = Given(encoder=lambda: folder, encoder_id=lambda: weights)
    metric = bertscore.build(bertscore.Options(kind="bertscore", encoder=None, layer=6), given)
    theirs = bert_score.score(*map(list, zip(*pairs, strict=True)), model_type=str(folder), num_layers=6)
    for at, found in enumerate(metric.score([Texts(*pair, "") for pair in pairs])):
        assert [found[name] for name in bertscore.RAW] == pytest.approx([float(each[at]) for each in theirs], abs=1e-5)
    paraphrase, unrelated = (
        found["bertscore_f1_rescaled"] for found in metric.score([Texts(*pair, "") for pair in pairs])
    )
    assert paraphrase > 0.3
    assert abs(unrelated) < 0.2
