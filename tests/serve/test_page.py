"""The page, in a real browser."""

import json
import re
import shutil
import threading
import time

import pytest
import uvicorn

PATIENCE = 30_000  # ms
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="there is no chromium here")]
TEXT = "The wall was built by hand. It stood for a hundred years. <img src=x onerror=alert(1)>"


@pytest.fixture
def address(made):
    server = uvicorn.Server(uvicorn.Config(made(), port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def expecting(part):
    """What waits for a part of the page from outside: the page's own policy lets no string be run inside it."""
    from playwright.sync_api import expect

    return expect(part)


@pytest.fixture(params=[1280, 390])
def page(request, browser, address):
    page = browser.new_page(viewport={"width": request.param, "height": 800}, accept_downloads=True)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(address)
    expecting(page.locator("#model option")).to_have_count(2, timeout=PATIENCE)
    yield page
    assert said == []
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    page.close()


def no_overflow(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_text_is_summarised_and_its_sentences_show_their_passages(page):
    page.fill("#text", TEXT)
    page.keyboard.press("Control+Enter")
    sentence = page.locator(".summary [role=button]").first
    sentence.wait_for()
    assert sentence.inner_text() == "The wall was built by hand."
    sentence.hover()
    assert page.locator("#source mark").inner_text() == "The wall was built by hand."
    assert page.locator("#source").inner_text() == TEXT  # as text: nothing in it runs
    assert page.locator("#source img").count() == 0
    assert re.search(r"6 tokens, 0\.0 s, fast, map_reduce", page.locator(".cost").inner_text())
    assert no_overflow(page)


def test_two_models_stand_side_by_side_and_both_can_be_kept(page):
    page.fill("#text", TEXT)
    page.select_option("#other", "base")
    page.click("#go")
    page.locator(".keep >> visible=true").nth(1).wait_for()
    assert page.locator("article h3").all_inner_texts() == ["champion", "base"]
    with page.expect_download() as kept:
        page.locator("article >> nth=1 >> .json").click()
    assert json.loads(kept.value.path().read_text())["model"] == "base"
    assert no_overflow(page)


def test_a_file_is_sent_and_its_text_shown(page):
    page.set_input_files("#file", {"name": "wall.md", "mimeType": "text/markdown", "buffer": TEXT.encode()})
    page.click("#go")
    page.locator(".summary [role=button]").first.wait_for()
    assert page.locator("#source").inner_text() == TEXT
    page.click("#edit")
    assert page.input_value("#text") == TEXT


def test_what_is_refused_is_said_on_the_page(page):
    page.fill("#text", "please refuse this")
    page.click("#go")
    page.locator("#problem >> visible=true").wait_for()
    assert page.locator("#problem").inner_text() == "this document is refused; send another"


def test_everything_can_be_reached_by_keyboard_and_escape_stops(page, fake):
    fake.gate.clear()
    page.fill("#text", TEXT)
    page.keyboard.press("Control+Enter")
    expecting(page.locator("#stop")).to_be_enabled(timeout=PATIENCE)
    page.keyboard.press("Escape")
    expecting(page.locator(".cost").first).to_have_text("stopped", timeout=PATIENCE)
    fake.gate.set()
    page.keyboard.press("Control+Enter")
    page.locator(".summary [role=button]").first.wait_for()
    page.locator(".summary [role=button]").first.focus()
    assert page.locator("#source mark").count() == 1


def test_the_page_for_programs_draws_every_operation(page, address):
    page.goto(f"{address}/docs")
    page.locator("#operations h2 >> text=POST /summarise").wait_for()
    assert "422" in page.locator("#operations").inner_text()
    assert no_overflow(page)
