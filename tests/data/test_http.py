"""The session, against a local server: pauses, retries, limits, and answers kept on disk."""

import time
from pathlib import Path
from typing import Any

import pytest

from breviary.data import http
from breviary.errors import DataError


def session(cache: Path, **more: Any) -> Any:
    return http.session(cache=cache, **{"retries": 2, "backoff": 0.0, "timeout": 5.0, **more})


def test_an_answer_worth_keeping_is_kept(player: Any, tmp_path: Path) -> None:
    player.play = lambda method, path, body: path.encode()
    keep = session(tmp_path, keep=lambda body: b"good" in body)
    for _ in range(2):
        assert keep.get(f"{player.url}/good").content == b"/good"
        assert keep.get(f"{player.url}/other").content == b"/other"
    assert player.asked == ["GET /good", "GET /other", "GET /other"]


def test_what_is_posted_tells_answers_apart(player: Any, tmp_path: Path) -> None:
    player.play = lambda method, path, body: body
    keep = session(tmp_path, keep=lambda body: True)
    assert [keep.post(player.url, json={"n": number}).json() for number in (1, 2, 1)] == [{"n": 1}, {"n": 2}, {"n": 1}]
    assert len(player.asked) == 2


@pytest.mark.parametrize("trouble", [(503, b""), (429, b""), b"half<cut here>"])
def test_trouble_that_passes_is_waited_out(player: Any, tmp_path: Path, trouble: Any) -> None:
    player.play = lambda method, path, body: trouble if len(player.asked) < 3 else b"whole"
    assert session(tmp_path).get(player.url).content == b"whole"
    assert len(player.asked) == 3


def test_trouble_that_stays_is_an_error_and_leaves_no_file(player: Any, tmp_path: Path) -> None:
    player.play = lambda method, path, body: (500, b"")
    with pytest.raises(DataError, match=r"no answer after 3 tries \(HTTP status 500\); what was finished is kept"):
        session(tmp_path, keep=lambda body: True).get(player.url)
    assert not list(tmp_path.iterdir())


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no answer after 1 tries .*Connect"):
        session(tmp_path, retries=0).get("http://127.0.0.1:9/")


def test_a_silent_server_is_not_waited_for(player: Any, tmp_path: Path) -> None:
    player.play = lambda method, path, body: time.sleep(0.5) or b"late"
    with pytest.raises(DataError, match="Timeout"):
        session(tmp_path, retries=0, timeout=0.1).get(player.url)


def test_other_answers_are_for_the_caller(player: Any, tmp_path: Path) -> None:
    assert session(tmp_path).get(player.url).status_code == 404
    assert len(player.asked) == 1


def test_requests_keep_their_distance(player: Any, tmp_path: Path) -> None:
    player.play = lambda method, path, body: b"x"
    polite = session(tmp_path, delay=0.15, keep=lambda body: True)
    began = time.monotonic()
    for number in (1, 2, 3, 1, 2, 3):  # the second three come from the disk
        polite.get(f"{player.url}/{number}")
    assert time.monotonic() - began >= 0.3
    assert len(player.asked) == 3


def test_pauses_grow_and_a_server_may_ask_for_longer_ones(
    player: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(http.time, "sleep", slept.append)
    player.play = lambda method, path, body: (503, b"", {"Retry-After": "30"} if len(player.asked) == 3 else {})
    with pytest.raises(DataError, match="no answer after 4 tries"):
        session(tmp_path, retries=3, backoff=2.0).get(player.url)
    assert [round(each) for each in slept] == [0, 2, 4, 30]
