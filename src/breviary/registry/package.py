"""The folder of a registered version: what MLflow loads with one call, without the weights of the backbone.

    artifacts/adapter/      PEFT's own format, byte for byte what the stage wrote (DVC's md5 holds)
    artifacts/base.json     record of the backbone, from which the model cache finds or fetches it
    artifacts/params.json   the sections of params.yaml that it is served with
    artifacts/scores.jsonl, settings.json    what was measured of it (`evaluate/dossier.py`)
    code/breviary/          the code that it was registered with
    pyfunc.py, MLmodel, requirements.txt, ...   MLflow's

No path of this machine is in it.
"""

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ADAPTER, BASE, PARAMS = "adapter", "base.json", "params.json"
NEEDED = (  # of the packages that pyproject.toml pins, those that summarising imports
    *("accelerate", "bm25s", "gguf", "huggingface_hub", "jaxtyping", "jinja2", "mlflow", "numpy", "peft", "psutil"),
    *(
        "pydantic",
        "regex",
        "requests",
        "ruamel.yaml",
        "safetensors",
        "scikit-learn",
        "scipy",
        "sentencex",
        "tokenizers",
    ),
    *("torch", "tqdm", "transformers"),
)


def write(folder: Path, contents: Path, code: Path, package: Path, settings: Mapping[str, Any]) -> None:
    """Write the version's folder from the files in `contents`.

    `code` is the file that MLflow runs, `package` the folder of this package; `settings` name the backbone.
    """
    with _quiet():
        from mlflow.pyfunc import save_model

        save_model(
            str(folder),
            python_model=str(code),
            artifacts={path.name.split(".")[0]: str(path) for path in sorted(contents.iterdir())},
            signature=_signature(),
            model_config=dict(settings),
            code_paths=[str(package)],
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in NEEDED],
        )
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)
    _portable(folder, code.name)


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("string", "text")]),
        outputs=Schema([ColSpec("string", "summary")]),
        params=ParamSchema(
            [
                ParamSpec("max_tokens", "long", 0),  # 0: as registered
                ParamSpec("max_ms", "long", 0),  # 0: no limit
                ParamSpec("profile", "string", ""),  # empty: as registered
                ParamSpec("mode", "string", "map_reduce"),
            ]
        ),
    )


def _portable(folder: Path, code: str) -> None:
    """Say in MLmodel where things are in the folder, and not where they came from."""
    from mlflow.models import Model

    saved = Model.load(str(folder))
    flavor = saved.flavors["python_function"]
    flavor["model_code_path"] = code
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    saved.save(str(folder / "MLmodel"))


@contextmanager
def _quiet() -> Iterator[None]:
    """Not what mlflow 3.17 warns of: a class of its own, and that we give no example, which would load the model."""
    with warnings.catch_warnings():
        for message in (".*Any type hint is inferred", ".*An input example was not provided"):
            warnings.filterwarnings("ignore", message, UserWarning)
        yield
