"""Markdown, kept as it is written: models read it well. The first heading of level one is the title."""

import re

from breviary.data import frontmatter
from breviary.data.intake import Parsed
from breviary.data.signatures import decode

HEADING = re.compile(r"^#[ \t]+(\S.*)", re.MULTILINE)
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)  # a '#' in code is a comment
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def parse(raw: bytes, name: str) -> Parsed:
    """The body without front matter and comments; the title from its first heading."""
    fields, body = frontmatter.split(decode(raw), name)
    closed = body.rfind("-->") + len("-->\n")  # after it no comment ends, and looking for ends would take hours
    body = COMMENT.sub("", body[:closed]) + body[closed:]
    heading = HEADING.search(FENCED.sub("", body))
    title = heading[1].rstrip().rstrip("#").rstrip() if heading else ""
    return Parsed(text=body, title=title, fields=fields)
