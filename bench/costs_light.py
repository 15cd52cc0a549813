"""What the stages cost that run no backbone: `evaluate`; how fast each stage starts; what a run without work takes.

Each yields the sizes of its section of metrics/costs.json. `dvc repro` is run in a copy of the project in a temporary
folder, where everything is up to date: once as it is, and once with `true` for each command, which is DVC's own part.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench import spent
from breviary import artifacts, config
from breviary.evaluate import measured, scores
from breviary.model import resolve
from breviary.records import Document, Prediction

DOCUMENTS = (5, 10, 20)
WITHOUT_TORCH = ("base_model", "download", "chunk", "mix", "evaluate", "consistency", "register", "report")
BEGIN = "import runpy, pathlib; runpy.run_path('stages/{}.py', run_name='begin'); {}; config.read(pathlib.Path({!r}))"
LEFT_OUT = (".git", ".venv", ".dvc", "*_cache", "__pycache__", ".mlflow", ".hypothesis")


def evaluating(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Seconds of `evaluate` on so many test documents, as params.yaml says, and with hardly any resampling."""
    options, encoder = params.section("evaluate", scores.Options), Path("models/encoder.json")
    given = measured.Given(partial(resolve.folder, encoder), partial(resolve.identity, encoder))
    documents = artifacts.read_records(Path("data/documents.jsonl"), Document)
    split_of = artifacts.read_json(Path("data/splits.json"))
    for size in DOCUMENTS:
        predictions = {name: _some(name, size) for name in options.models}
        arms = {
            f"draws_{resamples}": partial(
                scores.evaluate,
                documents,
                split_of,
                predictions,
                options.model_copy(update={"resamples": resamples}),
                given,
                0,
            )
            for resamples in (options.resamples, 99)
        }
        taken = spent.rounds(arms, rounds, warm=False)
        rows = size * (len(predictions) + 3)
        yield str(size), {"summaries": rows} | _seconds(taken)


def starting(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Seconds from `python` until a stage has read params.yaml, for those that need no torch; and of Python alone."""
    code = {stage: BEGIN.format(stage, "from breviary import config", "params.yaml") for stage in WITHOUT_TORCH}
    arms = {name: partial(_python, each) for name, each in {"python": "pass", **code}.items()}
    yield from _seconds(spent.rounds(arms, rounds)).items()


def idling(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Seconds of `dvc repro` where nothing is to be done, of DVC's own part, and of what `make repro` adds to it."""
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = Path(folder, "ours"), Path(folder, "bare")
        for copy in (ours, bare):
            shutil.copytree(".", copy, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        _with_true(bare / "dvc.yaml")
        for copy in (ours, bare):
            _command(copy, "dvc", "init", "--no-scm", "--quiet")
            _command(copy, "dvc", "commit", "--force", "--quiet")
        arms: dict[str, Callable[[], object]] = {
            "dvc_version": partial(_command, ours, "dvc", "--version"),
            "dvc_repro": partial(_repro, ours),
            "dvc_repro_of_true": partial(_repro, bare),
            "breviary_mend": partial(_command, ours, "breviary", "mend"),
            "breviary_sync": partial(_command, ours, "breviary", "sync"),
            "breviary_report": partial(_command, ours, "breviary", "report"),
        }
        yield from _seconds(spent.rounds(arms, rounds)).items()


def _seconds(taken: Mapping[str, list[spent.Spent]]) -> dict[str, Any]:
    return {name: spent.seconds(each) for name, each in taken.items()}


def _some(model: str, size: int) -> list[Prediction]:
    """The predictions of the first so many documents, in turn of each domain."""
    found = artifacts.read_records(Path("data/predictions", f"{model}.jsonl"), Prediction)
    domains = sorted({each.domain for each in found})
    by_domain = [[each for each in found if each.domain == domain] for domain in domains]
    return [each for turn in zip(*by_domain, strict=False) for each in turn][:size]


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def _with_true(file: Path) -> None:
    yaml = YAML()
    pipeline = yaml.load(file.read_text(encoding="utf-8"))
    for stage in pipeline["stages"].values():
        stage.get("do", stage)["cmd"] = "true"
    with file.open("w", encoding="utf-8") as opened:
        yaml.dump(pipeline, opened)


def _command(folder: Path, *words: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "true"}
    return subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _repro(folder: Path) -> None:
    said = _command(folder, "dvc", "repro")
    if "up to date" not in said or "Running stage" in said:
        raise RuntimeError(f"dvc repro had something to do:\n{said}")
