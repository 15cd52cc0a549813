"""Markdown, kept as it is written: models read it well. The first heading of level one is the title."""

import re

from breviary.data import frontmatter
from breviary.data.intake import Parsed
from breviary.data.signatures import decode

HEADING = re.compile(r"^#[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)  # a '#' in code is a comment
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def parse(raw: bytes, name: str) -> Parsed:
    """The body without front matter and comments; the title from its first heading."""
    fields, body = frontmatter.split(decode(raw), name)
    body = COMMENT.sub("", body)
    heading = HEADING.search(FENCED.sub("", body))
    return Parsed(text=body, title=heading[1] if heading else "", fields=fields)
