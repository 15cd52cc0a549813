"""The hub, played by a local server for a data set of two Parquet files; the library's own code does the rest.

Not covered: gated data sets, Xet transfers, redirects to a content network.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from breviary.data.intake import Found, Rejected
from breviary.data.sources import huggingface
from breviary.errors import DataError

SHA = "0123456789abcdef0123456789abcdef01234567"
KEYS: dict[str, Any] = {
    "kind": "huggingface",
    "repository": "writer/news",
    "revision": SHA,
    "split": "test",
    "domain": "news",
    "fields": {"text": "article", "summary": "highlights", "title": "", "licence": "", "group": ""},
}
FILES = ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"]
PROGRAM = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from breviary.data.sources import huggingface
from breviary.errors import DataError
try:
    options = huggingface.Options.model_validate(json.loads(sys.argv[1]))
    print(json.dumps([asdict(each.document) for each in huggingface.read(options, cache=Path(sys.argv[2]))]))
except DataError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


def parquet(*numbers: int) -> bytes:
    columns = {"id": [f"n{each}" for each in numbers], "article": [f"Text {each}." for each in numbers]}
    out = io.BytesIO()
    pq.write_table(pa.table({**columns, "highlights": [f"S{each}." for each in numbers]}), out)
    return out.getvalue()


def hub(method: str, path: str, contents: dict[str, bytes]) -> Any:
    """The answers that the two hub libraries ask for, in the shape of the hub's own."""
    path = path.split("?")[0]
    if path == f"/api/datasets/writer/news/revision/{SHA}":
        files = [{"rfilename": name} for name in FILES]
        return json.dumps({"id": "writer/news", "sha": SHA, "siblings": files, "private": False, "tags": []}).encode()
    if path.startswith(f"/api/datasets/writer/news/tree/{SHA}"):
        files = [{"type": "file", "oid": f"{at:040}", "size": 1, "path": name} for at, name in enumerate(FILES)]
        folder = [{"type": "directory", "oid": "f" * 40, "size": 0, "path": "data"}]
        return json.dumps(files if path.endswith("/data") else folder).encode()
    name = path.removeprefix(f"/datasets/writer/news/resolve/{SHA}/")
    headers = {"X-Repo-Commit": SHA, "ETag": f'"{FILES.index(name) if name in FILES else 9:040}"'}
    if name in contents:
        return 200, contents[name], headers
    return 404, b"", {**headers, "X-Error-Code": "EntryNotFound"}


def run(home: Path, url: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """In a process of its own: both libraries read HF_ENDPOINT when they are imported."""
    set_here = {"HF_ENDPOINT": url, "HF_HOME": str(home / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    kept = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")}
    command = [sys.executable, "-c", PROGRAM, json.dumps({**KEYS, "max_retries": 0, **more}), str(home / "cache")]
    return subprocess.run(
        command,
        cwd=home,
        env={**kept, **set_here, "PYTHONPATH": str(Path(huggingface.__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_data_set_is_read_at_its_revision_and_goes_on_where_it_stopped(player: Any, tmp_path: Path) -> None:
    contents = {FILES[0]: parquet(1, 2), FILES[1]: parquet(3)}

    def dies(method: str, path: str, body: bytes) -> Any:
        return (404, b"", {}) if method == "GET" and FILES[1] in path else hub(method, path, contents)

    player.play = dies
    ended = run(tmp_path, player.url)
    assert ended.returncode == 2, ended.stderr
    assert "writer/news@0123456789ab: cannot be loaded" in ended.stderr
    assert "what was fetched is kept" in ended.stderr

    player.asked[:] = []
    player.play = lambda method, path, body: hub(method, path, contents)
    ended = run(tmp_path, player.url)
    assert ended.returncode == 0, ended.stderr
    documents = json.loads(ended.stdout)
    assert [each["source"] for each in documents] == ["n1", "n2", "n3"]
    assert (documents[2]["text"], documents[2]["summary"], documents[2]["domain"]) == ("Text 3.", "S3.", "news")
    fetched = [each for each in player.asked if each.startswith("GET") and each.endswith(".parquet")]
    assert [each.rsplit("/", 1)[1] for each in fetched] == ["test-00001-of-00002.parquet"]
    assert any("breviary/0.1" in agent for agent in player.agents)


def fake(monkeypatch: pytest.MonkeyPatch, result: Any) -> None:
    monkeypatch.setattr(huggingface, "_load", lambda options, cache: result)


def read(**more: Any) -> list[Found | Rejected]:
    options = huggingface.Options.model_validate({**KEYS, **more})
    return list(huggingface.read(options, cache=Path("cache")))


class Table(list[dict[str, Any]]):
    """As much of a data set as is read of it."""

    @property
    def column_names(self) -> list[str]:
        return sorted(self[0])


ROWS = Table({"id": f"n{at}", "article": f"Text {at}.", "highlights": "S.", "odd": at % 2 == 1} for at in range(20))


def test_a_limit_and_a_filter_choose_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ROWS)
    odd = [each.document.source for each in read(where={"odd": True}) if isinstance(each, Found)]
    assert odd == [f"n{at}" for at in range(1, 20, 2)]
    assert len(read(limit=3)) == 3
    with pytest.raises(DataError, match=r"no row of 'test' matches where: \{'odd': 1\}"):
        read(where={"odd": 1})


def test_a_field_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ROWS)
    with pytest.raises(
        DataError, match=r"writer/news: fields\.title: no row has a field 'headline'; there are: article"
    ):
        read(fields={**KEYS["fields"], "title": "headline"})


def test_rows_without_ids_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ROWS)
    (first, *_) = read(fields={**KEYS["fields"], "id": ""})
    assert isinstance(first, Found)
    assert first.document.source == "test:0"


def test_a_local_folder_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "writer" / "news").mkdir(parents=True)
    with pytest.raises(DataError, match="a local path of that name would be read instead"):
        read()


@pytest.mark.parametrize(
    "wrong", [{"revision": "main"}, {"revision": SHA[:12]}, {"repository": "../x"}, {"split": "train[:10]"}]
)
def test_what_is_not_pinned_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        huggingface.Options.model_validate({**KEYS, **wrong})
