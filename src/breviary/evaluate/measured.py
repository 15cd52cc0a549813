"""What a metric is: a function from summaries to numbers, and what must be known of it to compare them with others.

A metric's module offers `HIGHER_IS_BETTER` (the name of every number, and whether it is better high, low or neither),
`Options`, and `build(options, given) -> Metric`. It sees all summaries of all models at once, so that what they share
(a source, a sentence that two models both copied) is read once and a model works in full batches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True)
class Texts:
    """One summary, and what it is measured against; the reference is empty where nobody wrote one."""

    summary: str
    reference: str
    source: str


@dataclass(frozen=True)
class Corpus:
    """Numbers of all documents together that are no mean of theirs: a function of counts that add up."""

    counts: Callable[[Sequence[Texts]], Float[ndarray, "documents counts"]]
    values: Callable[[Float[ndarray, "draws counts"]], dict[str, Float[ndarray, " draws"]]]  # of sums of counts


@dataclass(frozen=True)
class Metric:
    """A metric that is ready: `score` gives each of the texts its numbers by name, NaN where there is none."""

    score: Callable[[Sequence[Texts]], list[dict[str, float]]]
    settings: dict[str, Any]
    corpus: Corpus | None = None
    against: Literal["reference", "source"] = "reference"  # what a summary is judged by


@dataclass(frozen=True)
class Given:
    """What a metric may ask for. A model is looked for only when it is called."""

    encoder: Callable[[], Path]  # the folder of the sentence encoder that params.yaml names
    encoder_id: Callable[[], str]  # its weights, for settings


def each(score: Callable[[str, str, str], dict[str, float]]) -> Callable[[Sequence[Texts]], list[dict[str, float]]]:
    """The numbers of one summary at a time, for a metric that has nothing to gain from seeing many."""
    return lambda texts: [score(text.summary, text.reference, text.source) for text in texts]
