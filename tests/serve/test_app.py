"""The HTTP service: answers, refusals, limits."""

import asyncio
import json

import httpx
import pytest
from starlette.testclient import TestClient

TEXT = "The wall was built by hand. It stood for a hundred years."


def test_a_document_is_answered_with_sentences_and_their_passages(client):
    answer = client.post("/summarise", json={"text": TEXT, "profile": "quality", "max_tokens": 40}).json()
    assert answer["summary"] == "The wall was built by hand."
    assert answer["sentences"] == [{"text": "The wall was built by hand.", "spans": [{"start": 0, "end": 27}]}]
    assert (answer["profile"], answer["mode"], answer["model"]) == ("quality", "map_reduce", "champion")
    assert answer["source"] is None


def test_a_file_is_read_and_its_text_comes_back(client, fake):
    sent = {"file": ("wall.md", TEXT.encode(), "text/markdown")}
    answer = client.post("/summarise", files=sent, data={"max_tokens": "40", "model": "base", "mode": ""}).json()
    assert (answer["source"], answer["model"]) == (TEXT, "base")
    assert fake.seen[0].asked.max_tokens == 40


def test_a_summary_arrives_line_by_line(client):
    with client.stream(
        "POST", "/summarise", json={"text": TEXT}, headers={"Accept": "application/x-ndjson"}
    ) as response:
        events = [json.loads(line) for line in response.iter_lines()]
    assert [each["event"] for each in events] == ["progress", *["piece"] * 6, "answer"]
    assert (
        "".join(each["text"] for each in events if each["event"] == "piece").strip() == events[-1]["answer"]["summary"]
    )


def test_what_can_be_asked_for_and_how_the_service_is(client):
    assert [each["name"] for each in client.get("/models").json()["models"]] == ["champion", "base"]
    assert client.get("/health").json() == {"status": "ok", "waiting": 0, "busy": False}


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"json": {}}, 422, "text: Field required"),
        ({"json": {"text": "  \n "}}, 422, "white space alone"),
        ({"json": {"text": TEXT, "max_tokens": 0}}, 422, "max_tokens: .*greater than or equal to 8"),
        ({"json": {"text": TEXT, "max_tokens": 9.5}}, 422, "max_tokens: "),
        (
            {"json": {"text": TEXT, "profile": "slow"}},
            422,
            r"profile: there is no 'slow' here \(there is: quality, fast\)",
        ),
        ({"json": {"text": TEXT, "lenght": 3}}, 422, "lenght: Extra inputs"),
        ({"json": {"text": TEXT, "model": "gpt"}}, 422, r"there is no 'gpt' here \(there is: champion, base\)"),
        ({"json": {"text": TEXT, "max_tokens": 9, "max_ms": 1}}, 422, "max_ms: .*100"),
        ({"json": [TEXT]}, 422, "body: "),
        ({"json": {"text": "please refuse this"}}, 422, "this document is refused; send another"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "the body is not JSON"),
        ({"content": b"\xff", "headers": {"Content-Type": "application/json"}}, 400, "the body is not JSON"),
        ({"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "JSON|nested"),
        ({"content": b"text", "headers": {"Content-Type": "text/plain"}}, 415, "send application/json"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "this form cannot be read"),
        ({"data": {"profile": "fast"}, "files": {"paper": b"x"}}, 422, "file: a form must bring one"),
        ({"files": {"file": ("a.exe", b"MZ")}}, 422, r"a.exe: its name ends in none of .md, .txt"),
        ({"files": {"file": ("a.txt", b"\xff\xfe")}}, 422, "not UTF-8"),
        ({"files": {"file": ("a.txt", b"")}}, 422, "text: "),
        ({"json": {"text": "x" * 200_001}}, 413, "at most 200000 bytes"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(client, sent, status, message):
    response = client.post("/summarise", **sent)
    assert response.status_code == status
    assert __import__("re").search(message, response.json()["detail"])


def test_a_fault_of_the_model_names_no_inside_and_the_next_request_is_answered(client):
    response = client.post("/summarise", json={"text": "crash now"})
    assert "its log says more" in response.json()["detail"]
    assert "Zero" not in response.text
    assert client.post("/summarise", json={"text": TEXT}).status_code == 200


def test_a_body_without_a_length_is_counted_while_it_arrives(client):
    def endless():
        for _ in range(50):
            yield b'{"text": "' + b"x" * 10_000

    response = client.post("/summarise", content=endless(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413


def test_another_host_name_is_refused(client):
    assert client.get("/models", headers={"Host": "evil.example"}).status_code == 400


def test_with_a_token_only_the_page_and_health_are_open(made):
    with TestClient(made(token="s3cret")) as client:
        assert client.get("/").status_code == client.get("/page/page.js").status_code == 200
        assert client.get("/health").status_code == 200
        for path in ("/models", "/openapi.json", "/pages", "/healthy", "/docs"):
            assert client.get(path).status_code == 401
        assert client.post("/summarise", json={"text": TEXT}).status_code == 401
        good = {"Authorization": "Bearer s3cret"}
        assert client.post("/summarise", json={"text": TEXT}, headers=good).status_code == 200
        assert client.get("/models", headers={"Authorization": "Bearer s3cre"}).status_code == 401


def test_the_page_may_load_nothing_from_elsewhere(client):
    response = client.get("/")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    for path in ("/", "/docs", "/page/page.js", "/page/style.css", "/page/docs.js"):
        assert "http://" not in client.get(path).text
        assert "https://" not in client.get(path).text


def test_the_api_describes_both_bodies_and_every_refusal(client):
    described = client.get("/openapi.json").json()
    operation = described["paths"]["/summarise"]["post"]
    assert operation["requestBody"]["content"].keys() == {"application/json", "multipart/form-data"}
    assert operation["responses"].keys() == {"200", "400", "401", "413", "415", "422", "503"}
    assert {"Asked", "Answer", "Problem"} <= described["components"]["schemas"].keys()


def test_50_clients_at_once_are_answered_or_told_to_come_again_and_the_model_sees_one_at_a_time(made, fake):
    async def ask(client: httpx.AsyncClient, number: int) -> httpx.Response:
        return await client.post("/summarise", json={"text": f"Document {number}. It has words."})

    async def all_of_them(app) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
            return await asyncio.gather(*(ask(client, number) for number in range(50)))

    fake.gate.clear()
    app = made(waiting=4)

    async def play() -> list[httpx.Response]:
        task = asyncio.ensure_future(all_of_them(app))
        await asyncio.sleep(0.5)
        fake.gate.set()
        return await task

    answers = asyncio.run(play())
    served = [each for each in answers if each.status_code == 200]
    refused = [each for each in answers if each.status_code == 503]
    assert len(served) + len(refused) == 50
    assert 4 <= len(served) <= 5  # one at the model, four in the queue
    assert all(each.headers["Retry-After"] for each in refused)
    assert len({each.json()["summary"] for each in served}) == len(served)
    assert fake.most == 1
