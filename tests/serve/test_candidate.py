"""One project's way: a good model becomes champion, a forgetful one does not, the same content is registered once."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from breviary.errors import ArtifactError
from breviary.evaluate import dossier, gate
from breviary.evaluate.dossier import Dossier
from breviary.registry import history, versions
from breviary.serve import candidate
from breviary.serve.candidate import Candidate, Decide
from breviary.tracking import fingerprint
from breviary.tracking.store import Connection

pytestmark = pytest.mark.slow
Measure = Callable[..., Dossier]
Train = Callable[[int, Dossier], Candidate]

CHOSEN = gate.Options.model_validate(
    {
        "level": 0.95,
        "target": {"domain": "talk", "metric": "rouge1"},
        "guards": [{"domain": "paper", "metric": "summary_nats", "against": "phase1", "margin": 0.1}],
        "bounds": [{"domain": "talk", "metric": "phrase", "max": 0.3}],
    }
)


@pytest.fixture
def judge(measured: Measure) -> Callable[[Dossier], Decide]:
    """The gate for one model, which knows a base and a first phase."""

    def of(model: Dossier) -> Decide:
        known = {"base": measured("base", rouge=0.1, nats=5.0), "phase1": measured("phase1")}
        directions = {"rouge1": True, "summary_nats": False, "text_nats": False, "phrase": False}
        return partial(gate.decide, CHOSEN, gate.Evidence(model, known, "base", directions, 1, 1023))

    return of


def champion(connection: Connection, name: str) -> versions.Version | None:
    return versions.aliased(connection, name, "champion")


def test_a_good_model_is_promoted_once_and_a_forgetful_one_is_refused(
    connection: Connection, trained: Train, measured: Measure, judge: Callable[[Dossier], Decide], tmp_path: Path
) -> None:
    good, name = measured("phase3", rouge=0.4), tmp_path.name
    first = candidate.submit(connection, trained(1, good), judge(good))
    assert (first.decision.promoted, first.moved, first.version.number) == (True, True, "1")
    assert champion(connection, name) == versions.get(connection, name, "1")

    again = candidate.submit(connection, trained(1, good), judge(good))
    assert (again.moved, again.version.number, again.rival) == (False, "1", None)
    assert again.as_json() == first.as_json()
    assert len(versions.every(connection, name)) == 1

    forgetful = measured("phase3", rouge=0.5, nats=4.5)
    refused = candidate.submit(connection, trained(2, forgetful), judge(forgetful))
    assert (refused.decision.promoted, refused.moved, refused.version.number) == (False, False, "2")
    assert refused.lines()[0] == f"{name} version 2: refused, the champion stays as it is"
    assert "FAILED  paper summary_nats may have fallen too far: -0.5000 against phase1" in refused.lines()[1]
    assert "against champion" in refused.lines()[2]
    assert champion(connection, name) == versions.get(connection, name, "1")
    assert versions.at(connection, f"models:/{name}@candidate").number == "2"
    assert refused.as_json()["champion"] == first.version.content

    better = measured("phase3", rouge=0.45, nats=3.9)
    third = candidate.submit(connection, trained(3, better), judge(better))
    assert (third.moved, third.decision.against) == (True, "champion")
    repeated = candidate.submit(connection, trained(3, better), judge(better))
    assert repeated.as_json() == third.as_json()
    assert repeated.rival is not None
    assert repeated.rival.number == "1"


def test_a_model_that_was_rolled_back_by_hand_stays_so(
    connection: Connection, trained: Train, measured: Measure, judge: Callable[[Dossier], Decide], tmp_path: Path
) -> None:
    name = tmp_path.name
    for seed, rouge in ((1, 0.4), (2, 0.5)):
        model = measured("phase3", rouge=rouge)
        assert candidate.submit(connection, trained(seed, model), judge(model)).moved
    history.rollback(connection, name, "it is rude")
    again = candidate.submit(connection, trained(2, model), judge(model))
    assert not again.decision.promoted
    assert again.decision.reasons[-1] == (
        f"it was rolled back by hand (it is rude): `breviary promote {name} 2` takes that back"
    )
    current = champion(connection, name)
    assert current is not None
    assert current.number == "1"


def test_a_version_says_where_it_comes_from_and_carries_what_was_measured(
    connection: Connection, trained: Train, measured: Measure, judge: Callable[[Dossier], Decide], tmp_path: Path
) -> None:
    good = measured("phase3", rouge=0.4)
    asks = trained(1, good)
    key = f"{tmp_path.name}-train_phase3-1"
    run = connection.client.create_run(connection.experiment, tags={"dvc.key": key}).info.run_id
    connection.client.set_terminated(run)
    number = candidate.submit(connection, asks, judge(good)).version.number
    version = versions.get(connection, tmp_path.name, number)
    assert version.run == run
    assert connection.client.get_run(run).data.tags[f"{tmp_path.name}.gate"] == "promoted"
    assert version.tags["dvc.md5"] == fingerprint.inputs([asks.adapter])[0].md5
    assert version.tags["receipt.key"] == key
    assert sorted(json.loads(version.tags["stages"])) == ["mix", "train_phase3"]
    assert version.tags["metric.talk.rouge1"] == "0.445"
    assert version.tags["gate"] == "promoted"
    assert json.loads(version.tags["gate.decision"])["decision"] == "promoted"
    files = versions.folder(connection, version, tmp_path)
    assert dossier.read(files / "artifacts", "champion").records == good.records
    assert fingerprint.inputs([files / "artifacts/adapter"])[0].md5 == version.tags["dvc.md5"]
    words = [path.read_bytes() for path in files.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert not [text for text in words if str(tmp_path).encode() in text]


def test_other_settings_of_the_same_adapter_are_another_version_and_other_threads_are_not(
    connection: Connection, trained: Train, measured: Measure, tmp_path: Path
) -> None:
    def content(**changes: str) -> dict[str, str]:
        text = (tmp_path / "params.yaml").read_text()
        for before, after in changes.items():
            text = text.replace(before, after)
        (tmp_path / "params.yaml").write_text(text)
        return trained(1, measured("phase3")).content

    known = content()
    assert content(**{"threads: 1": "threads: 2", "batch_size: 4": "batch_size: 9"}) == known
    assert content(**{"max_new_tokens: 24": "max_new_tokens: 32"})["dvc.md5"] == known["dvc.md5"]
    assert content()["serving"] != known["serving"]


def test_a_champion_without_its_measurements_is_an_error_and_nothing_is_registered(
    connection: Connection, trained: Train, measured: Measure, judge: Callable[[Dossier], Decide], tmp_path: Path
) -> None:
    good = measured("phase3", rouge=0.4)
    first = candidate.submit(connection, trained(1, good), judge(good)).version
    (versions.folder(connection, first, tmp_path) / "artifacts/scores.jsonl").write_text("{")
    with pytest.raises(ArtifactError, match=r"scores.jsonl:1: not a Scored record"):
        candidate.submit(connection, trained(2, good), judge(good))
    assert [each.number for each in versions.every(connection, tmp_path.name)] == ["1"]


def test_an_interrupted_registration_goes_on_where_it_stopped(
    connection: Connection,
    trained: Train,
    measured: Measure,
    judge: Callable[[Dossier], Decide],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    good = measured("phase3", rouge=0.4)
    with monkeypatch.context() as patch:
        patch.setattr(history.versions, "point", killed)
        with pytest.raises(KeyboardInterrupt):
            candidate.submit(connection, trained(1, good), judge(good))
    assert champion(connection, tmp_path.name) is None
    done = candidate.submit(connection, trained(1, good), judge(good))
    assert (done.version.number, done.moved) == ("1", True)
