"""Captions of YouTube videos, from a list of ids, through `youtube-transcript-api`.

YouTube has no reference summaries: `details`, a JSON object keyed by id, brings them (and a better title, a group, a
licence). Finished transcripts are kept one by one; the answers on the way to them are not: their addresses expire.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from breviary import artifacts, config
from breviary.data import captions
from breviary.data.intake import UNAVAILABLE, Found, Rejected
from breviary.errors import DataError
from breviary.records import Document

if TYPE_CHECKING:
    import requests

TITLES = "https://www.youtube.com/oembed"
PARTS = ("group", "licence", "summary", "title")


class Options(config.Options):
    """Which videos, in which language."""

    kind: Literal["youtube"]
    ids: list[str] = Field(min_length=1)  # the eleven characters after v=
    languages: list[str] = Field(default=["en"], min_length=1)  # in order of preference
    details: str = ""  # JSON file inside data.root: {id: {title, summary, licence, group}}
    domain: str = "talk"
    licence: str = ""
    delay_seconds: float = Field(default=2.0, ge=0.0, le=600.0)
    timeout_seconds: float = Field(default=30.0, gt=0.0, le=600.0)
    max_retries: int = Field(default=4, ge=0, le=20)  # with growing pauses

    @field_validator("ids")
    @classmethod
    def _each_once(cls, ids: list[str]) -> list[str]:
        wrong = [each for each in ids if not re.fullmatch(r"[\w-]{11}", each)]
        twice = sorted({each for each in ids if ids.count(each) > 1})
        if wrong:
            raise ValueError(f"not the id of a video (the eleven characters after v=): {', '.join(wrong)}")
        if twice:
            raise ValueError(f"twice in the list: {', '.join(twice)}")
        return ids


def read(options: Options, *, cache: Path) -> Iterator[Found | Rejected]:
    """The talks in the order of the list. Raises DataError when YouTube stops answering; finished talks are kept."""
    from breviary.data import http

    details = _details(Path(options.details)) if options.details else {}
    session = http.session(
        cache=cache / "youtube",
        delay=options.delay_seconds,
        timeout=options.timeout_seconds,
        retries=options.max_retries,
        backoff=max(options.delay_seconds, 1.0) if options.delay_seconds else 0.0,
    )
    for video in options.ids:
        file = cache / "youtube" / f"{video}.{'-'.join(options.languages)}.json"
        if not file.is_file():
            answer = _fetch(video, options, session)
            if isinstance(answer, Rejected):
                yield answer
                continue
            artifacts.write_json(file, answer)
        yield _talk(video, artifacts.read_json(file), options, details.get(video, {}))


def _talk(video: str, answer: Mapping[str, Any], options: Options, details: Mapping[str, str]) -> Found:
    cues = [captions.Cue(start, start + length, text) for start, length, text in answer["cues"]]
    joined = captions.join(sorted(cues, key=lambda cue: cue.start))
    document = Document(
        domain=options.domain,
        title=details.get("title") or answer["title"] or video,
        text=joined.text,
        summary=details.get("summary", ""),
        source=video,
        licence=details.get("licence") or options.licence,
        group=details.get("group", ""),
        times=joined.times,
    )
    return Found(document, joined.repairs)


def _fetch(video: str, options: Options, session: "requests.Session") -> dict[str, Any] | Rejected:
    import youtube_transcript_api as youtube

    try:
        transcript = youtube.YouTubeTranscriptApi(http_client=session).fetch(video, languages=options.languages)
    except (youtube.RequestBlocked, youtube.YouTubeRequestFailed, youtube.YouTubeDataUnparsable) as error:
        raise DataError(
            f"{video}: {_cause(error)}; what was finished is kept: run the stage again later to go on"
        ) from None
    except youtube.CouldNotRetrieveTranscript as error:
        return Rejected(video, UNAVAILABLE, _cause(error))
    cues = [[round(each.start, 3), round(each.duration, 3), each.text] for each in transcript]
    return {"cues": cues, "generated": transcript.is_generated, "title": _title(video, session)}


def _cause(error: Any) -> str:
    """The library's reason without its page of advice."""
    return f"{type(error).__name__}: " + str(error.cause).strip().split("\n")[0]


def _title(video: str, session: "requests.Session") -> str:
    response = session.get(TITLES, params={"format": "json", "url": f"https://www.youtube.com/watch?v={video}"})
    try:
        return str(response.json().get("title", "")) if response.status_code == 200 else ""
    except (ValueError, AttributeError):
        return ""


def _details(path: Path) -> Mapping[str, Mapping[str, str]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as JSON ({error}); set data.sources[].details to a JSON file"
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: an object by video id is expected, got {type(value).__name__}")
    problems = list(_problems(value))
    if problems:
        raise DataError("\n".join(f"{path}: {problem}" for problem in problems))
    return value


def _problems(value: Mapping[str, Any]) -> Iterator[str]:
    for video, parts in sorted(value.items()):
        if not isinstance(parts, dict) or not all(isinstance(part, str) for part in parts.values()):
            yield f"{video}: an object of texts is expected ({', '.join(PARTS)})"
            continue
        yield from (f"{video}.{name}: {config.unknown_key(name, PARTS)}" for name in sorted(parts) if name not in PARTS)
