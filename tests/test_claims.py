"""What README and docs claim, against the metrics files; and the tool that compares them."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("claims", ROOT / "tools/claims.py")
assert _spec and _spec.loader
claims = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(claims)

TABLE = """<!-- results: metrics/{a,b}.json: talk.rouge1 n -->
|  | talk rouge1 | n |
| --- | ---: | ---: |
| `a` | 0.124 | 2.000 |
| `b` | 0.500 | 3.000 |
<!-- end -->
"""
GOOD = "Up by [0.12](metrics/a.json#talk.rouge1), [12.4 %](metrics/a.json#talk.rouge1), [-1.0](metrics/a.json#low).\n\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "metrics/a.json").write_text(
        json.dumps({"talk": {"rouge1": 0.12374}, "n": 2, "low": -1.04, "all": [7]})
    )
    (tmp_path / "metrics/b.json").write_text(json.dumps({"talk": {"rouge1": 0.5}, "n": 3}))
    (tmp_path / "README.md").write_text(GOOD + TABLE)
    (tmp_path / "docs/more.md").write_text("[7](../metrics/a.json#all.0) and [a file](../metrics/a.json#low)\n")
    return tmp_path


def reading(root):
    return lambda path: (root / path).read_text()


def test_every_marked_number_of_this_project_is_what_its_file_says():
    assert list(claims.problems(ROOT, claims.staged)) == []
    assert claims.count(ROOT) > 20


def test_numbers_that_hold_are_no_problem(project):
    assert list(claims.problems(project, reading(project))) == []
    assert claims.count(project) == 3 + 4 + 1


@pytest.mark.parametrize(
    ("good", "bad"),
    [("[0.12]", "[0.13]"), ("[12.4 %]", "[12.5 %]"), ("[-1.0]", "[1.0]"), ("| 0.500 |", "| 0.501 |")],
)
def test_a_number_that_does_not_hold_is_found_with_its_line_and_written_anew(project, good, bad):
    readme = project / "README.md"
    readme.write_text(readme.read_text().replace(good, bad))
    (found,) = claims.problems(project, reading(project))
    line = 1 + readme.read_text().splitlines().index(
        next(each for each in readme.read_text().splitlines() if bad in each)
    )
    assert found.startswith(f"README.md:{line}: says")
    assert claims.renewed(readme, project, reading(project)) == GOOD + TABLE


def test_a_row_that_is_missing_is_found(project):
    readme = project / "README.md"
    readme.write_text(readme.read_text().replace("| `b` | 0.500 | 3.000 |\n", ""))
    assert "a table has other rows" in next(claims.problems(project, reading(project)))


@pytest.mark.parametrize(
    ("keys", "message"),
    [("talk.rouge9", "no 'rouge9' there (there is: rouge1)"), ("talk", "is no number"), ("all.3", "no '3' there")],
)
def test_a_value_that_is_not_there_is_a_problem(project, keys, message):
    (project / "README.md").write_text(f"[1](metrics/a.json#{keys})\n")
    (found,) = claims.problems(project, reading(project))
    assert message in found
