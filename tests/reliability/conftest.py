"""A tiny project, finished as far as its windows, that tests may break."""

from collections.abc import Iterator

import pytest

from bench import faults
from bench.clone import Clone, made

TARGET = "chunk"  # three stages that need no torch: what breaks them is what breaks all


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with made(tmp_path_factory.mktemp("reliability")) as clone:
        faults.finish(clone, TARGET)
        yield clone
