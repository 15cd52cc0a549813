"""No bytes make a reader raise anything but this project's own errors. `python -m bench.fuzz` searches for longer."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fuzz import outcome
from bench.readers import READERS, mutants

pytestmark = pytest.mark.slow
EXAMPLES, MUTANTS, SEED = 40, 20, 29


@pytest.mark.parametrize("name", READERS)
def test_its_samples_are_read(name: str) -> None:
    assert {outcome(READERS[name].read, sample) for sample in READERS[name].samples()} == {"read"}


@pytest.mark.parametrize("name", READERS)
def test_whatever_it_is_given_is_read_or_refused(name: str) -> None:
    reader = READERS[name]
    pieces = st.one_of(st.sampled_from(reader.fragments), st.binary(max_size=8), st.sampled_from(reader.samples()))
    inputs = st.binary(max_size=200) | st.lists(pieces, max_size=12).map(b"".join)

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(raw=inputs)
    def attempt(raw: bytes) -> None:
        assert outcome(reader.read, raw) in ("read", "refused")

    attempt()


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_sample_is_read_or_refused(name: str) -> None:
    reader = READERS[name]
    crashes = {outcome(reader.read, raw) for raw in mutants(reader, MUTANTS, SEED)} - {"read", "refused"}
    assert not crashes


def test_a_crash_is_told_from_a_refusal() -> None:
    def broken(raw: bytes, folder: Path) -> None:
        raise KeyError(raw)

    assert outcome(broken, b"x").startswith("KeyError in ")
