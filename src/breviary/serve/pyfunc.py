"""The registered model, as MLflow loads and serves it: `mlflow.pyfunc.load_model("models:/breviary@champion")`.

    model.predict({"text": ["A long talk ..."]})                          [{"summary": "..."}]
    model.predict({"text": ["..."]}, params={"max_tokens": 60, "max_ms": 20000, "profile": "fast", "mode": "extract"})

This file is run by MLflow, from inside a version's folder ("models from code": nothing is pickled). The weights of the
backbone are not there: the model cache has them, or fetches them by the version's record ($BREVIARY_CACHE).
"""

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel
from pandas import DataFrame

from breviary.errors import BreviaryError


class Summariser(PythonModel):
    """One adapter on its backbone, asked as it was measured."""

    def load_context(self, context: Any) -> None:
        """Load the model from the version's files."""
        from breviary.serve import registered

        found = {name: Path(path) for name, path in context.artifacts.items()}
        self.summarise = registered.load(found["adapter"], found["base"], found["params"])

    def predict(
        self, context: Any, model_input: DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, str]]:
        """A summary of each row's `text`, of any length, within `max_tokens` and `max_ms` (0: as registered)."""
        cells = (cell if isinstance(cell, list) else [cell] for cell in model_input["text"])  # {"text": [...]} is one
        try:
            summaries = self.summarise([text for cell in cells for text in cell], **(params or {}))
        except BreviaryError as error:  # what was asked cannot be done: the caller's, and status 400
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        return [{"summary": summary} for summary in summaries]


set_model(Summariser())
