"""Plain text, with front matter where there is any."""

from breviary.data import frontmatter
from breviary.data.intake import Parsed
from breviary.data.signatures import decode


def parse(raw: bytes, name: str) -> Parsed:
    """The text of the file and its front matter."""
    fields, body = frontmatter.split(decode(raw), name)
    return Parsed(text=body, fields=fields)
