"""Training examples of a few words, each text another turn of the same sentence."""

from breviary.records import Example

TEXT = "the model reads a paper and says what it found in a few plain words about old stars"

SECTION = {  # `pairs` of params.yaml, which a phase looks at before it begins
    **{"left": "paper", "right": "talk", "per_document": 1, "neighbours": 4, "min_margin": 1.05, "min_cosine": 0.1},
    **{"lexical_share": 0.5, "near_duplicate": 0.97},
}


def example(domain: str, number: int, partner: str = "") -> Example:
    """A document of `domain`; with `partner`, a pair whose other document is of that domain."""
    words = TEXT.split()
    turned = words[number:] + words[:number]
    return Example(
        document=f"{domain}{number}",
        domain=domain,
        origin="pair" if partner else domain,
        title=f"{domain} {number}",
        text=" ".join(turned),
        summary=" ".join(turned[:3]),
        partner=" ".join(reversed(turned)) if partner else "",
        partner_document=f"{partner}{number}" if partner else "",
    )
