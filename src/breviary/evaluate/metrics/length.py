"""How long a summary is, and how much shorter than its source.

    words        words in the summary
    compression  words in the source / words in the summary      (Grusky et al. 2018, arXiv:1804.11283, section 3.1)

Neither is better high or low; they show whether a difference in ROUGE is one of length. An empty summary has 0 words,
and a compression of NaN: it compresses nothing.
"""

import math
from typing import Literal

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import words

HIGHER_IS_BETTER: dict[str, bool | None] = {"words": None, "compression": None}
SETTINGS = {"words": "runs of letters, marks and digits after NFKC; one character in scripts without spaces"}


class Options(config.Options):
    """Length has no settings."""

    kind: Literal["length"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(measured.each(score), SETTINGS)


def score(prediction: str, reference: str, source: str) -> dict[str, float]:
    """Length in words and compression; the reference is not looked at."""
    length = len(words(prediction))
    return {"words": float(length), "compression": len(words(source)) / length if length else math.nan}
