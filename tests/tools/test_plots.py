"""The page of `dvc plots`: what DVC puts into it, and that it asks for nothing in a browser."""

import shutil
from pathlib import Path

import pytest

from tools import plots

CHROMIUM = shutil.which("chromium")


def test_dvc_finds_its_place_and_none_for_its_links() -> None:
    from dvc_render.html import HTML

    text = HTML(plots.page("var a = 1;")).with_scripts('<script src="https://cdn.example"></script>')
    made = text.with_element("<div>plot</div>").embed()
    assert "<div>plot</div>" in made
    assert "var a = 1;" in made
    assert "cdn.example" not in made


@pytest.mark.parametrize("library", ["x = '{scripts}'", "x = '</SCRIPT>'"])
def test_libraries_that_would_break_the_page_are_refused(library: str) -> None:
    with pytest.raises(SystemExit, match="which this page cannot; pin another"):
        plots.page(library)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_plot_is_drawn_and_nothing_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vl_convert")
    from dvc_render import render_html
    from dvc_render.vega import VegaRenderer
    from playwright.sync_api import sync_playwright

    monkeypatch.chdir(tmp_path)
    plots.main()
    points = [{"step": at, "loss": 5 - at, "rev": "workspace"} for at in range(4)]
    path = render_html([VegaRenderer(points, "losses", x="step", y="loss")], tmp_path / "index.html", plots.TEMPLATE)
    asked, said = list[str](), list[str]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(Path(path).as_uri())
        page.wait_for_selector("canvas, svg.marks")
        browser.close()
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [Path(path).as_uri()]
    assert said == []
