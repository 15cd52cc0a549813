"""A second opinion on which texts are alike that needs no model: latent semantic analysis of the corpus itself.

TF-IDF of stems (sublinear counts, rows of unit length), projected on the leading singular vectors of the training
texts. Deerwester et al. 1990, "Indexing by latent semantic analysis". Stems of more than a fifth of the training texts
are left out: they tell nothing apart, and would make any two texts alike. Words of no training text are not heard.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from breviary.errors import DataError
from breviary.evaluate.words import stems

WIDTH = 100  # dimensions, as in Deerwester et al.; fewer where there are fewer texts
COMMON = 0.2  # share of the training texts


def fit(texts: Sequence[str], width: int = WIDTH) -> Callable[[Sequence[str]], Float[ndarray, "texts width"]]:
    """An encoder learned from `texts`. Raises DataError where they are too few, or too alike, to tell texts apart."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    most = max(2, ceil(COMMON * len(texts)))
    analyzer: Any = stems  # scikit-learn's annotation knows of strings alone
    counter: Any = TfidfVectorizer(sublinear_tf=True, analyzer=analyzer, max_df=most)
    try:
        counted = counter.fit_transform(texts)
    except ValueError:  # no stem is left
        counted = None
    if counted is None or min(counted.shape) < 3:
        raise DataError(f"{len(texts)} training texts are too few or too alike for latent semantic analysis")
    size = min(width, min(counted.shape) - 1)
    projection = TruncatedSVD(size, algorithm="arpack", random_state=0).fit(counted)  # exact; 0 fixes where it starts

    def encode(summaries: Sequence[str]) -> Float[ndarray, "texts width"]:
        return np.asarray(projection.transform(counter.transform(summaries)))

    return encode


def settings(width: int = WIDTH) -> dict[str, str | int | float]:
    """What must be known of such an encoder beside the texts it was fitted on."""
    return {
        "implementation": f"scikit-learn {version('scikit-learn')}",
        "counts": "sublinear TF-IDF of stems",
        "left out": f"stems of more than {COMMON} of the texts",
        "width": width,
    }
