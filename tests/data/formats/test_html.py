"""HTML."""

import pytest

from breviary.data.formats import html
from breviary.errors import DataError

PARAGRAPH = "Nobody had measured how long a lighthouse keeper sleeps, and so we asked eleven of them to tell us. " * 4
PAGE = f"""<!DOCTYPE html><html><head><title>Sleep at sea</title><meta name="description" content="A study."></head>
<body><nav><a href="/">Home</a> <a href="/shop">Buy our mugs</a></nav><article><h1>Sleep at sea</h1>
<p>{PARAGRAPH}</p><p>{PARAGRAPH.replace("eleven", "twelve")}</p></article>
<footer>All rights reserved</footer></body></html>"""


def test_the_article_is_kept_and_the_menu_is_not() -> None:
    parsed = html.parse(PAGE.encode(), "a.html")
    assert "asked eleven of them" in parsed.text
    assert "asked twelve of them" in parsed.text
    assert "mugs" not in parsed.text
    assert parsed.title == "Sleep at sea"
    assert parsed.fields["description"] == "A study."


def test_a_page_may_name_its_own_encoding() -> None:
    page = PAGE.replace("<head>", '<head><meta charset="iso-8859-1">').replace("Nobody", "Café owners")
    assert "Café owners" in html.parse(page.encode("latin-1"), "a.html").text


@pytest.mark.parametrize("encoding", ["no-such-thing", "undefined", "hex"])
def test_an_encoding_that_is_none_of_text_is_as_good_as_none(encoding: str) -> None:
    page = PAGE.replace("<head>", f'<head><meta charset="{encoding}">').replace("Nobody", "Café owners")
    assert "Café owners" in html.parse(page.encode(), "a.html").text


def test_an_encoding_of_host_names_is_none_of_pages() -> None:
    page = PAGE.replace("<head>", '<head><meta charset="idna">')
    assert "asked eleven of them" in html.parse(page.encode(), "a.html").text


def test_a_page_on_which_the_parser_stumbles_is_refused() -> None:
    """A NUL before nested CDATA, tables and anchors: lxml gives up on an assertion. Found by `bench.fuzz`."""
    page = b"\x00<svg>\x00<![CDATA[</p><a href='//[x'><a href='//[x'><table><tr><td><a href='//[x'><b>&#9999999;"
    page += (
        b"words here. <svg><!----><meta charset='idna'>words here. <script>&#9999999;<meta charset='idna'></p><li>-->"
    )
    page += b"words here. </p><![CDATA[<![CDATA[<a href='//[x'><p><![CDATA[--><li><p>"
    with pytest.raises(DataError, match=r"a\.html: the HTML is damaged \(AssertionError: \); save the page again"):
        html.parse(page, "a.html")


def test_text_without_a_tag_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.html: named \.html, but there is no tag"):
        html.parse(b"3 < 5, and that is all", "a.html")
