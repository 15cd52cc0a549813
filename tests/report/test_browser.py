"""The page in a real browser, opened as a file."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breviary.report import page as pages

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def file(tmp_path: Path, report: dict[str, Any], known: pages.Around) -> str:
    path = tmp_path / "index.html"
    path.write_text(pages.render(report, known), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_asks_for_nothing_runs_nothing_and_fits(browser: Any, file: str, width: int, scheme: str) -> None:
    asked, said = list[str](), list[str]()
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file)
    assert [url for url in asked if not url.startswith("data:")] == [file]
    assert said == []
    assert page.title() == "breviary: phase2 against base"
    assert page.locator("table").count() == 14
    assert page.locator("svg.figure").count() == 6
    boxes = page.evaluate(
        "[...document.querySelectorAll('svg.figure')].map(each => each.getBoundingClientRect().width)"
    )
    assert min(boxes) > 250
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def test_figures_and_text_follow_the_scheme(browser: Any, file: str) -> None:
    inks = {}
    for scheme in ("light", "dark"):
        page = browser.new_context(color_scheme=scheme).new_page()
        page.goto(file)
        fill = "getComputedStyle(document.querySelector('svg.figure text')).fill"
        inks[scheme] = (
            page.evaluate(fill),
            page.evaluate("getComputedStyle(document.documentElement).backgroundColor"),
        )
    assert inks["light"][0] != inks["dark"][0]
    assert inks["light"][1] != inks["dark"][1]


def test_the_passage_shows_on_hover_and_by_keyboard_and_on_paper(browser: Any, file: str) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 844}).new_page()
    page.goto(file)
    sentence, passage = page.locator(".text li").nth(0), page.locator(".evidence").nth(0)
    assert not passage.is_visible()
    sentence.hover()
    assert passage.is_visible()
    page.mouse.move(0, 0)
    assert not passage.is_visible()
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.text li')"):
            break
    assert passage.is_visible()
    page.emulate_media(media="print")
    assert page.locator(".evidence").nth(3).is_visible()
    assert not page.locator("nav").is_visible()


def test_a_wide_table_scrolls_inside_itself_on_a_phone(browser: Any, file: str) -> None:
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(file)
    table = page.locator(".scroll:has(.board)").nth(0)
    assert table.evaluate("each => each.scrollWidth > each.clientWidth")
    table.evaluate("each => { each.scrollLeft = 300 }")
    first = table.locator("tbody th[scope=row]").nth(0).bounding_box()
    assert first["x"] == pytest.approx(table.bounding_box()["x"], abs=1)
