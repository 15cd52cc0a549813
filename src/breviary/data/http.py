"""A polite HTTP session: user agent, time limits, a pause between requests, retries with backoff, answers kept on disk.

What has been answered is never asked again, so that an interrupted download goes on where it stopped. Only a whole
answer that the caller finds worth keeping is kept, and it reaches the disk whole or not at all.
"""

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from breviary import artifacts
from breviary.errors import DataError

USER_AGENT = "breviary/0.1 (collects documents for summarisation)"
RETRIED = {408, 429, 500, 502, 503, 504}
CONNECT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 120.0  # however much a server asks for
KEEP_NOTHING: Callable[[bytes], bool] = lambda body: False  # noqa: E731


class Adapter(HTTPAdapter):
    """How `requests` sends a request, with all of the above. It is given to client libraries through their session."""

    def __init__(
        self, *, cache: Path, keep: Callable[[bytes], bool], delay: float, timeout: float, retries: int, backoff: float
    ) -> None:
        super().__init__()
        self.cache, self.keep = cache, keep
        self.delay, self.timeout, self.retries, self.backoff = delay, timeout, retries, backoff
        self._free_at = 0.0

    def send(self, request: requests.PreparedRequest, *_: Any, **settings: Any) -> requests.Response:  # type: ignore[override]
        """The answer, from the disk if it is there. Raises DataError when the other side stays silent."""
        file = self.cache / _key(request)
        if file.is_file():
            return self._response(request, 200, file.read_bytes(), {})
        request.headers["User-Agent"] = USER_AGENT  # client libraries set their own on each request
        response, body = self._ask(request, settings)
        if response.status_code == 200 and self.keep(body):
            with artifacts.atomic(file) as temporary:
                temporary.write_bytes(body)
        return self._response(request, response.status_code, body, response.headers)

    def _ask(self, request: requests.PreparedRequest, settings: Mapping[str, Any]) -> tuple[requests.Response, bytes]:
        settings = {**settings, "timeout": (CONNECT_SECONDS, self.timeout), "stream": True}
        for attempt in range(self.retries + 1):
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            asked_for = 0.0
            try:
                response = super().send(request, **settings)
                body = response.content  # read here, so that an answer that breaks off is asked for again
                if response.status_code not in RETRIED:
                    return response, body
                problem = f"HTTP status {response.status_code}"
                asked_for = _seconds(response.headers.get("Retry-After", ""))
            except requests.RequestException as error:
                problem = f"{type(error).__name__}: {error}"
            finally:
                self._free_at = time.monotonic() + self.delay
            wait = max(self.delay, self.backoff * 2**attempt, asked_for)
            self._free_at = time.monotonic() + min(wait, LONGEST_WAIT_SECONDS)
        raise DataError(
            f"{request.url}: no answer after {self.retries + 1} tries ({problem}); "
            "what was finished is kept: run the stage again to go on from here"
        )

    def _response(
        self, request: requests.PreparedRequest, status: int, body: bytes, headers: Mapping[str, str]
    ) -> requests.Response:
        kept = {
            name: value for name, value in headers.items() if name.lower() in ("content-type", "location", "set-cookie")
        }
        raw = HTTPResponse(io.BytesIO(body), headers=kept, status=status, preload_content=False)
        return self.build_response(request, raw)


def session(
    *,
    cache: Path,
    keep: Callable[[bytes], bool] = KEEP_NOTHING,
    delay: float = 0.0,
    timeout: float = 30.0,
    retries: int = 3,
    backoff: float = 1.0,
) -> requests.Session:
    """A session that waits `delay` seconds between requests, `timeout` for each answer, and asks again `retries` times.

    `keep` decides by its bytes whether an answer is stored in `cache`.
    """
    made = requests.Session()
    adapter = Adapter(cache=cache, keep=keep, delay=delay, timeout=timeout, retries=retries, backoff=backoff)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


def _key(request: requests.PreparedRequest) -> str:
    body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")  # type: ignore[arg-type]
    return hashlib.sha256(f"{request.method} {request.url}\n".encode() + body).hexdigest()


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdigit() else 0.0
