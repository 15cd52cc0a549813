"""YouTube, played by a local server: answers have the shape of recorded ones, their content is the test's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from youtube_transcript_api import _transcripts

from breviary.data.intake import Found, Rejected
from breviary.data.sources import youtube
from breviary.errors import DataError

FIRST, SECOND, THIRD = "aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"
TRACK = """<?xml version="1.0" encoding="utf-8" ?><transcript><text start="0.5" dur="2.1">Salt is a rock</text>
<text start="2.6" dur="2">that people &amp;#39;eat&amp;#39;.</text>
<text start="5" dur="1">[Applause]</text></transcript>"""


def tracks(url: str, video: str) -> dict[str, Any]:
    track = {
        "baseUrl": f"{url}/api/timedtext?v={video}&lang=en&fmt=srv3",
        "name": {"runs": [{"text": "English"}]},
        "vssId": ".en",
        "languageCode": "en",
        "isTranslatable": True,
    }
    renderer = {"captionTracks": [track], "translationLanguages": []}
    return {"playabilityStatus": {"status": "OK"}, "captions": {"playerCaptionsTracklistRenderer": renderer}}


@pytest.fixture
def videos(player: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server with captions for every video."""
    monkeypatch.setattr(_transcripts, "WATCH_URL", player.url + "/watch?v={video_id}")
    monkeypatch.setattr(_transcripts, "INNERTUBE_API_URL", player.url + "/youtubei/v1/player?key={api_key}")
    monkeypatch.setattr(youtube, "TITLES", player.url + "/oembed")

    def play(method: str, path: str, body: bytes) -> Any:
        if path.startswith("/watch"):
            return b'<html><script>ytcfg.set({"INNERTUBE_API_KEY": "key-1"});</script></html>'
        if path.startswith("/youtubei"):
            return json.dumps(tracks(player.url, json.loads(body)["videoId"])).encode()
        if path.startswith("/oembed"):
            return b'{"title": "On Salt", "author_name": "Ada"}'
        return TRACK.encode()

    player.play = play
    return player


def read(cache: Path, *ids: str, **more: Any) -> list[Found | Rejected]:
    quick = {"delay_seconds": 0.0, "max_retries": 1, "timeout_seconds": 5.0}
    options = youtube.Options.model_validate({"kind": "youtube", "ids": list(ids), **quick, **more})
    return list(youtube.read(options, cache=cache))


def test_captions_become_a_talk_with_times(videos: Any, tmp_path: Path) -> None:
    (found,) = read(tmp_path, FIRST)
    assert isinstance(found, Found)
    talk = found.document
    assert (talk.domain, talk.title, talk.source, talk.summary) == ("talk", "On Salt", FIRST, "")
    assert talk.text == "Salt is a rock that people 'eat'."
    assert talk.times == ((0, 0.5), (15, 2.6))
    assert found.repairs == ("sound_captions",)
    assert videos.agents == {"breviary/0.1 (collects documents for summarisation)"}


def test_details_bring_a_reference(videos: Any, tmp_path: Path) -> None:
    details = tmp_path / "details.json"
    details.write_text(
        json.dumps({FIRST: {"summary": "On salt.", "title": "Salt", "group": "g", "licence": "CC-BY-4.0"}})
    )
    (found,) = read(tmp_path, FIRST, details=str(tmp_path / "details.json"))
    assert isinstance(found, Found)
    talk = found.document
    assert (talk.title, talk.summary, talk.group, talk.licence) == ("Salt", "On salt.", "g", "CC-BY-4.0")


def test_a_server_that_dies_midway_leaves_finished_talks(videos: Any, tmp_path: Path) -> None:
    alive = videos.play
    videos.play = lambda method, path, body: (503, b"") if SECOND in path else alive(method, path, body)
    with pytest.raises(DataError, match=rf"watch\?v={SECOND}: no answer after 2 tries \(HTTP status 503\)"):
        read(tmp_path, FIRST, SECOND, THIRD)
    videos.play, videos.asked[:] = alive, []
    assert len(read(tmp_path, FIRST, SECOND, THIRD)) == 3
    assert not any(FIRST in each for each in videos.asked)
    videos.asked[:] = []
    read(tmp_path, FIRST, SECOND, THIRD)
    assert not videos.asked


def test_being_blocked_stops_the_download(videos: Any, tmp_path: Path) -> None:
    alive = videos.play
    bot = {"playabilityStatus": {"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you\u2019re not a bot"}}
    videos.play = lambda method, path, body: (
        json.dumps(bot).encode() if "youtubei" in path else alive(method, path, body)
    )
    with pytest.raises(DataError, match=r"RequestBlocked: .*what was finished is kept"):
        read(tmp_path, FIRST)


@pytest.mark.parametrize(
    ("status", "languages", "message"),
    [
        ({"playabilityStatus": {"status": "OK"}}, ["en"], "TranscriptsDisabled: Subtitles are disabled"),
        (None, ["de"], "NoTranscriptFound: No transcripts were found"),
    ],
)
def test_a_video_without_captions_is_counted(
    videos: Any, tmp_path: Path, status: dict[str, Any] | None, languages: list[str], message: str
) -> None:
    alive = videos.play
    videos.play = lambda method, path, body: (
        json.dumps(status).encode() if status and "youtubei" in path else alive(method, path, body)
    )
    (rejected,) = read(tmp_path, FIRST, languages=languages)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "unavailable"
    assert rejected.detail.startswith(message)


def test_a_title_that_cannot_be_had_is_the_id(videos: Any, tmp_path: Path) -> None:
    alive = videos.play
    videos.play = lambda method, path, body: (401, b"") if "oembed" in path else alive(method, path, body)
    (found,) = read(tmp_path, FIRST)
    assert isinstance(found, Found)
    assert found.document.title == FIRST


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an object by video id is expected, got list"),
        ('{"aaaaaaaaaaa": "x"}', "aaaaaaaaaaa: an object of texts is expected"),
        ('{"aaaaaaaaaaa": {"sumary": "x"}}', "aaaaaaaaaaa.sumary: unknown key, did you mean 'summary'"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_bad_details_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "details.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path, FIRST, details=str(tmp_path / "details.json"))


def test_ids_are_ids_and_each_stands_once() -> None:
    with pytest.raises(ValidationError, match=r"not the id of a video .*: https://youtu\.be/aaaaaaaaaaa"):
        youtube.Options.model_validate({"kind": "youtube", "ids": ["https://youtu.be/aaaaaaaaaaa"]})
    with pytest.raises(ValidationError, match="twice in the list: aaaaaaaaaaa"):
        youtube.Options.model_validate({"kind": "youtube", "ids": [FIRST, FIRST]})
