"""What people are shown of a curriculum."""

import csv
import io
import json

import pytest

from breviary.evaluate import transfer_tables
from breviary.evaluate.statistics import Estimate
from breviary.evaluate.transfer import Effect, Measure, Transfer


def made(higher: bool) -> Transfer:
    matrix = {
        "paper": {"base": Estimate(3.3, 3.1, 3.5, 4), "phase1": Estimate(3.0123456789, None, None, 4)},
        "talk": {"base": Estimate(4.1, 4.0, 4.2, 2), "phase1": Estimate(3.8, 3.7, 3.9, 2)},
    }
    effects = {
        "paper": {"learning": Effect("phase1", "base", Estimate(0.2876543211, 0.2, 0.4, 4))},
        "talk": {
            "forgetting": Effect("base", "phase1", Estimate(-0.3, None, None, 2)),
        },
    }
    means = {"learning": 0.2876543211, "forgetting": -0.3}
    return Transfer(Measure({}, higher, "nats a token"), matrix, effects, means, {"paper": "phase1"})


@pytest.fixture
def found() -> dict[str, Transfer]:
    return {"summary": made(False), "rouge1": made(True)}


def test_the_full_table_is_json_with_intervals_and_models(found):
    table = json.loads(json.dumps(transfer_tables.full(found), allow_nan=False))["summary"]
    assert table["matrix"]["paper"]["phase1"] == {"mean": 3.012346, "low": None, "high": None, "n": 4}
    assert table["effects"]["paper"]["learning"] == {
        "mean": 0.287654,
        "low": 0.2,
        "high": 0.4,
        "n": 4,
        "first": "phase1",
        "second": "base",
    }
    assert table["mean"] == {"learning": 0.287654, "forgetting": -0.3}
    assert (table["unit"], table["higher_is_better"], table["brought"]) == ("nats a token", False, {"paper": "phase1"})


def test_the_brief_table_leaves_out_the_matrix_that_stands_elsewhere(found):
    brief = transfer_tables.brief(found)
    assert brief["summary"] == {
        "paper": {"base": 3.3, "phase1": 3.0123, "learning": 0.2877},
        "talk": {"base": 4.1, "phase1": 3.8, "forgetting": -0.3},
        "mean": {"learning": 0.2877, "forgetting": -0.3},
    }
    assert brief["rouge1"]["paper"] == {"learning": 0.2877}


def test_the_curve_has_a_line_for_each_measure_domain_and_model(found):
    rows = list(csv.DictReader(io.StringIO(transfer_tables.curve(found))))
    assert len(rows) == 2 * 2 * 2
    assert rows[1] == {
        "measure": "summary",
        "domain": "paper",
        "model": "phase1",
        "position": "1",
        "value": "3.0123",
        "low": "",
        "high": "",
    }


def test_tracked_numbers_are_flat(found):
    numbers = transfer_tables.tracked(found)
    assert numbers["talk/summary_nats/base"] == 4.1
    assert numbers["transfer/talk/forgetting/rouge1"] == -0.3
    assert numbers["transfer/mean/learning/summary"] == pytest.approx(0.2876543211)
    assert not [name for name in numbers if "rouge1_nats" in name]


def test_the_terminal_shows_a_block_for_each_measure(found):
    blocks = transfer_tables.terminal(found, 0.95).split("\n\n")
    assert blocks[0].splitlines() == [
        "nats a token (low is good)",
        "                            paper (4)  talk (2)    mean",
        "brought by                     phase1         -",
        "base                            3.300     4.100",
        "phase1                          3.012     3.800",
        "learning    +0.288 (+0.200 to +0.400)         -  +0.288",
        "forgetting                          -    -0.300  -0.300",
    ]
    assert blocks[1].startswith("nats a token (high is good)\n")
    assert blocks[2].endswith("the interval over documents (95%)")
