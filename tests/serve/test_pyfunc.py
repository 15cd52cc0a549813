"""The registered model, as MLflow and as PEFT load it, in a process that knows nothing of the project."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from breviary.errors import BudgetError, DataError
from breviary.evaluate.dossier import Dossier
from breviary.evaluate.gate import Decision
from breviary.model import adapt, limit
from breviary.registry import versions
from breviary.serve import candidate, choice, registered
from breviary.summarise import asked
from breviary.tracking.store import Connection

pytestmark = pytest.mark.slow
TEXT = "A talk about bees, and what they do all day. " * 3
LOAD = """
import sys, warnings, json
warnings.simplefilter("ignore")
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
text = sys.argv[2]
said = [
    model.predict(pandas.DataFrame({"text": [text, text]})),
    model.predict([{"text": text}], params={"max_tokens": 40}),
    model.predict({"text": [text]}),
]
try:
    model.predict([{"text": " "}])
except mlflow.MlflowException as error:
    said.append(str(error))
import breviary
print(json.dumps([said, breviary.__file__]))
"""


@pytest.fixture
def version(
    connection: Connection, trained: Callable[[int, Dossier], Any], measured: Callable[..., Dossier]
) -> versions.Version:
    asks = trained(1, measured("phase3"))
    return candidate.submit(connection, asks, lambda rival: Decision(True, "base", [], ["for this test"])).version


def environment() -> dict[str, str]:
    """No project on the path: neither the current folder nor an editable installation's."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def expected(most: int) -> str:
    """What the same adapter writes when the project loads it."""
    answerer = asked.answerer(registered.params(Path("params.yaml")), Path("models/phase3"))
    request = asked.Request(max_tokens=most)
    return asked.finished(answerer.answer(TEXT, request, limit.start())).text


def test_mlflow_loads_the_champion_without_the_project(version: versions.Version, tiny: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", LOAD, f"models:/{version.name}@champion", TEXT]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(command, cwd=elsewhere, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, package = json.loads(done.stdout.splitlines()[-1])
    whole = {"summary": expected(60)}
    assert said[:3] == [[whole, whole], [{"summary": expected(40)}], [whole]]
    assert "text of row 0 has no words; leave such rows out" in said[3]
    assert f"{version.model}/artifacts/code/breviary" in package


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_peft_loads_the_same_folder(
    version: versions.Version, connection: Connection, tiny: Any, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel

    folder = versions.folder(connection, version, tmp_path) / "artifacts/adapter"
    ids = torch.tensor([[5, 6, 7]])
    theirs = PeftModel.from_pretrained(tiny.model(), str(folder)).eval()(ids).logits
    ours = adapt.load(tiny.model(), Path("models/phase3"), tiny.identity, trainable=False).eval()(ids).logits
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-6)  # ours is fused


def test_what_cannot_be_asked_is_refused(version: versions.Version, connection: Connection, tmp_path: Path) -> None:
    files = versions.folder(connection, version, tmp_path) / "artifacts"
    summarise = registered.load(files / "adapter", files / "base.json", files / "params.json")
    with pytest.raises(BudgetError, match="65 tokens are more than a summary may have"):
        summarise([TEXT], max_tokens=65)
    with pytest.raises(DataError, match="mode is 'all'; there is: truncate, map_reduce"):
        summarise([TEXT], mode="all")
    with pytest.raises(DataError, match="text of row 1, 2 has no words"):
        summarise([TEXT, "", "\n"])
    assert summarise([]) == []


def test_the_champion_is_the_model_that_is_meant(version: versions.Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "CHAMPION", f"models:/{version.name}@champion")
    chosen = choice.choose(None)
    assert chosen.note == f"summarised with {version.name} version 1"
    assert chosen.adapter is not None
    assert version.model in str(chosen.adapter)
    assert (chosen.adapter / "adapter_model.safetensors").is_file()
    assert choice.choose(f"models:/{version.name}/1").base == chosen.base


@pytest.fixture
def server(version: versions.Version, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--port", str(port)]
    model = ["--model-uri", f"models:/{version.name}@champion"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *model], env=environment() | {"PATH": path}, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, (tmp_path / "server.log").read_text()
                    time.sleep(0.5)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def test_mlflow_serves_the_champion(server: str, tiny: Any) -> None:
    def ask(body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{server}/invocations", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    asked = {"dataframe_records": [{"text": TEXT}], "params": {"max_tokens": 40}}
    assert ask(asked) == {"predictions": [{"summary": expected(40)}]}
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask({"dataframe_records": [{"text": ""}]})
    with refused.value as answer:
        assert answer.code == 400
        assert "has no words" in answer.read().decode()
