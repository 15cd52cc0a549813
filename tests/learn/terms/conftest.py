"""The contrastive term, built as a phase builds it."""

from collections.abc import Callable
from typing import Any

import pytest

from breviary.data.views import Twin
from breviary.learn.objective import Whole
from breviary.learn.terms import contrastive
from tests.learn.terms.contrasted import SIX, Make, options


@pytest.fixture
def make_contrastive(make_given: Callable[..., Any]) -> Make:
    """The term on the `mined` pairs; keyword arguments change its options."""

    def built(mined: list[Twin] = SIX, /, companions: Any = (), **changes: Any) -> Whole:
        asked = []
        given = make_given(twins=lambda most: asked.append(most) or mined, companions=dict(companions))
        made = contrastive.build(options(**changes), given)
        assert asked == [16]
        return made

    return built
