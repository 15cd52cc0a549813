"""Small PDFs and a local HTTP server that plays prepared answers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


@dataclass
class Player:
    """A server on localhost. `play(method, path with query, body)` answers; every request is noted."""

    play: Callable[[str, str, bytes], Answer | bytes] = lambda method, path, body: (404, b"")
    asked: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    url: str = ""


def handler(player: Player) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            player.asked.append(f"{self.command} {self.path}")
            player.agents.add(self.headers.get("User-Agent", ""))
            answer = player.play(self.command, self.path, body)
            status, content, *more = answer if isinstance(answer, tuple) else (200, answer)
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            cut = content.endswith(b"<cut here>")
            content = content.removesuffix(b"<cut here>")
            self.send_header("Content-Length", str(len(content) + (100 if cut else 0)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that waits no longer
                self.wfile.write(content if self.command != "HEAD" else b"")
            if cut:
                self.close_connection = True

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def player() -> Iterator[Player]:
    made = Player()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(made))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_pdf() -> Callable[..., bytes]:
    """A PDF with one page for each text; lines are parted by newlines."""

    def make(*pages: str, title: str = "") -> bytes:
        first = 4
        kids = " ".join(f"{first + 2 * index} 0 R" for index in range(len(pages)))
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ]
        for index, page in enumerate(pages):
            lines = " T* ".join(f"({line}) Tj" for line in page.split("\n") if line)
            content = f"BT /F1 12 Tf 14 TL 72 720 Td {lines} ET".encode() if page else b""
            number = first + 2 * index + 1
            objects.append(
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number} 0 R "
                "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
            )
            objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(f"<< /Title ({title}) >>".encode())
        return _assemble(objects)

    return make


def _assemble(objects: list[bytes]) -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>" % (len(objects) + 1, len(objects))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s%s\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        table,
        trailer,
        len(out),
    )
