"""A backbone's config.json without its weights."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from breviary.model import preview
from breviary.model.backbones import hub, tiny


def test_from_the_record_of_the_same_backbone(tmp_path: Path) -> None:
    options = tiny.Options(kind="tiny")
    record = tmp_path / "base.json"
    record.write_text(json.dumps({"options": options.model_dump(), "config": {"hidden_size": 64}}))
    assert preview.config(options, record) == {"hidden_size": 64}
    assert preview.config(tiny.Options(kind="tiny", layers=3), record) is None


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A hub that has the config.json of one model."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = self.path == f"/org/model/resolve/{'0' * 40}/config.json"
            self.send_response(200 if good else 404)
            self.end_headers()
            self.wfile.write(b'{"hidden_size": 64}')

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_from_the_hub(server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template(server.server_port))
    options = hub.Options(kind="hub", name="org/model", revision="0" * 40)
    assert preview.config(options, tmp_path / "base.json") == {"hidden_size": 64}
    other = hub.Options(kind="hub", name="org/other", revision="0" * 40)
    assert preview.config(other, tmp_path / "base.json") is None


def template(port: int) -> str:
    return f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"


def test_a_hub_that_cannot_be_reached_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template(1))
    options = hub.Options(kind="hub", name="org/model", revision="0" * 40)
    assert preview.config(options, tmp_path / "base.json") is None
