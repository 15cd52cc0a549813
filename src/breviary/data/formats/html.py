"""HTML: the article without menus, banners and comments, through trafilatura (Barbaresi 2021, ACL demo)."""

import logging
import re

from breviary.data.intake import Parsed
from breviary.data.signatures import decode
from breviary.errors import DataError

CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?\s*([\w-]+)", re.IGNORECASE)


def parse(raw: bytes, name: str) -> Parsed:
    """The main text, and title, description, licence and keywords from the page's metadata."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # what it would warn of is raised below
    if not re.search(rb"<\s*[a-zA-Z!]", raw):
        raise DataError(f"{name}: named .html, but there is no tag in it; name it .txt or .md")
    page = _decode(raw)
    try:
        text = trafilatura.extract(page, include_comments=False, include_tables=True, favor_recall=True) or ""
        metadata = trafilatura.extract_metadata(page)
    except Exception as error:
        # lxml meets what no browser would show in the middle of its own code
        raise DataError(f"{name}: the HTML is damaged ({type(error).__name__}: {error}); save the page again") from None
    known = metadata.as_dict() if metadata else {}
    fields = {key: known[key] for key in ("description", "license") if known.get(key)}
    return Parsed(text=text, title=known.get("title") or "", fields=fields)


def _decode(raw: bytes) -> str:
    """A page may name its own encoding; an unknown one, or one that is none of text, is as good as none."""
    declared = CHARSET.search(raw[:4096])
    try:
        return raw.decode(declared[1].decode("ascii")) if declared else decode(raw)
    except UnicodeDecodeError:
        raise
    except (LookupError, UnicodeError):  # "idna" and "punycode" are for names of hosts
        return decode(raw)
