"""The environment of a project in a folder of its own, with nothing of the caller's in it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from breviary import config
from breviary.tracking import store

OUTSIDE = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "RANK")
# What a request for a summary is read from, beside the section `budget`; for the tiny backbone.
SUMMARISING = """
runtime: {seed: 1, threads: 1}
compute: {precision: fp32, quantisation: none}
prompt: {style: plain, max_tokens: 320, max_summary_tokens: 64}
predict:
  split: test
  limit: null
  batch_size: 4
  max_new_tokens: 24
  decoding:
    {beams: 1, sample: false, temperature: 1.0, top_p: 1.0, length_penalty: 1.0, repetition_penalty: 1.0,
     no_repeat_ngram: 3}
hierarchy:
  {mode: truncate, overlap_tokens: 0, keep: 0.5, max_depth: 16, similarity: tfidf, duplicate: 0.85, parts: 4,
   diversity: 0.3}
"""


def enter(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make `folder` the project and the current folder; its stages only spool."""
    patch.chdir(folder)
    patch.setenv("DVC_ROOT", str(folder))
    patch.setenv("BREVIARY_TRACKING", "later")
    patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in OUTSIDE:
        patch.delenv(name, raising=False)
    for name, value in store.PATIENCE.items():
        patch.setenv(name, value)  # so that what `connect` sets ends with the test


def configure(patch: pytest.MonkeyPatch, params: str, sections: Mapping[str, str]) -> None:
    """Give the current folder a params.yaml with these sections and no others, each described by its module."""
    patch.setattr(config, "read", partial(config.read, sections=sections))
    Path("params.yaml").write_text(params)
