"""The page: report.json, and what is known around it, as one HTML file that asks nobody for anything.

No script is on it, and its content security policy would let none run; text of documents and models is escaped like
all other text. Style is in the page itself, figures are part of its markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.evaluate.transfer import QUANTITIES
from breviary.report import panels, wording
from breviary.report.contents import FORMAT
from breviary.report.making import Made, making
from breviary.report.spent import Spent, spent
from breviary.tracking.spool import git

REPORT, PAGE = Path("reports/report.json"), Path("reports/index.html")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Around:
    """What may differ between two runs of the same content."""

    spent: Sequence[Spent] = ()
    unspent: str = ""  # what to say of stages of which nothing is known
    lineage: Sequence[Made] = ()
    commit: str = ""
    changed: bool = False  # the work tree differs from the commit
    date: str = ""  # of the commit


def around() -> Around:
    """What this project knows of its last run."""
    found, unspent = spent()
    made = making()
    order = {each.stage: at for at, each in enumerate(made)}
    found.sort(key=lambda each: (order.get(each.stage, len(order)), each.stage))
    return Around(
        found,
        unspent,
        made,
        git("rev-parse", "HEAD"),
        bool(git("status", "--porcelain", "--untracked-files=no")),
        git("show", "-s", "--format=%cs", "HEAD"),
    )


def write(report: Path = REPORT, page: Path = PAGE) -> Path:
    """Make the page from report.json. Raises ArtifactError if that is missing or of another format."""
    content = artifacts.read_json(report)
    if content.get("format") != FORMAT:
        raise ArtifactError(
            f"{report}: format {content.get('format')}, this version makes pages of {FORMAT}; run `dvc repro report`"
        )
    artifacts.write_text(page, render(content, around()))
    return page


def render(report: Mapping[str, Any], known: Around) -> str:
    """The page as text."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            known=known,
            style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            quantities=QUANTITIES,
            verdict=verdict(report),
            target_panel=panels.target(report),
            loss_panels=panels.losses(report),
            length_panels=panels.lengths(report),
            pairs_panel=panels.pairs(report),
        )
    )


def verdict(report: Mapping[str, Any]) -> str:
    """What the gate said of the target's model, in a sentence."""
    model = report["target"]["model"]
    for each in report["decisions"]:
        if each["model"] in ("", model):
            return f"The gate has {each['decision']} it."
    return "No gate has decided about it yet."


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "number": wording.number,
        "signed": wording.signed,
        "brief": wording.brief,
        "interval": wording.interval,
        "percent": wording.percent,
        "probability": wording.probability,
        "seconds": wording.seconds,
        "size": wording.size,
        "count": wording.count,
    }
    found.globals |= {
        "heat": panels.heat,
        "kind": panels.kind,
        "kinds_of_pairs": panels.kinds_of_pairs,
    }
    return found
