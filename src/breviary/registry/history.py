"""Who was champion when, and why. MLflow keeps where an alias points, and not where it pointed.

Each change is a tag of the registered model, `champion.0001` and on, in JSON. Read in order they are a stack: a
promotion puts a version on it, a rollback takes the uppermost off, so that rolling back twice goes further back. The
alias has to stand for the uppermost; where it does not, somebody moved it elsewhere, and a promotion sets it right.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from breviary.errors import RegistryError
from breviary.registry import versions
from breviary.registry.versions import CHAMPION, Version
from breviary.tracking import store

PREFIX = "champion."
LONGEST = 3000  # characters of a reason; MLflow cuts or refuses tags of more than 5000


@dataclass(frozen=True)
class Change:
    """One move of the alias."""

    action: Literal["promote", "rollback"]
    version: str  # the champion after it
    by: Literal["gate", "hand"]
    reason: str
    at: str  # UTC


def changes(connection: store.Connection, name: str) -> list[Change]:
    """Every change, oldest first. Raises RegistryError if one cannot be read."""
    with versions.talking(f"the history of {name} was not read"):
        tags = connection.client.get_registered_model(name).tags
    found = []
    for tag in sorted(tag for tag in tags if tag.startswith(PREFIX)):
        try:
            found.append(Change(**json.loads(tags[tag])))
        except (ValueError, TypeError) as error:
            raise RegistryError(
                f"{name}: its tag {tag} is not what breviary wrote ({error}); delete the tag in MLflow"
            ) from None
    return found


def stack(made: Sequence[Change]) -> list[str]:
    """The versions that a rollback would go through, the champion last."""
    found: list[str] = []
    for change in made:
        if change.action == "promote":
            found.append(change.version)
        elif found:
            found.pop()
    return found


def before(connection: store.Connection, champion: Version) -> Version | None:
    """The version that was champion before `champion`, if there was one and it is still there."""
    numbers = stack(changes(connection, champion.name))
    earlier = numbers[-2] if len(numbers) > 1 and numbers[-1] == champion.number else None
    known = {each.number: each for each in versions.every(connection, champion.name)}
    return known.get(earlier) if earlier else None


def withdrawn(connection: store.Connection, version: Version) -> str | None:
    """Why somebody rolled `version` back, if it was not promoted since."""
    made, reason, numbers = changes(connection, version.name), None, list[str]()
    for at, change in enumerate(made):
        numbers = stack(made[:at])
        if change.action == "rollback" and numbers and numbers[-1] == version.number:
            reason = change.reason
        elif change.action == "promote" and change.version == version.number:
            reason = None
    return reason


def promote(connection: store.Connection, version: Version, reason: str, by: Literal["gate", "hand"]) -> bool:
    """Make `version` the champion, and keep why; False if it is already. Raises RegistryError without a reason."""
    made = changes(connection, version.name)
    uppermost = stack(made)[-1:] == [version.number]
    current = versions.aliased(connection, version.name, CHAMPION)
    if uppermost and current and current.number == version.number:
        return False
    if not uppermost:  # otherwise an earlier promotion was cut short before its last step
        _note(connection, version.name, len(made), _change("promote", version, by, reason))
    versions.point(connection, CHAMPION, version)
    return True


def rollback(connection: store.Connection, name: str, reason: str) -> tuple[Version, Version]:
    """Make the version that was champion before the present one champion again; returns (from, to).

    Raises RegistryError where there is no earlier one, or the alias was moved by something else.
    """
    current = versions.aliased(connection, name, CHAMPION)
    if current is None:
        raise RegistryError(f"{name} has no champion to roll back; `breviary promote {name} VERSION` makes one")
    made = changes(connection, name)
    numbers = stack(made)
    if numbers[-1:] != [current.number]:
        last = f"version {numbers[-1]}" if numbers else "none"
        raise RegistryError(
            f"{name}@{CHAMPION} is version {current.number}, but the last one that was promoted here is {last}: the "
            f"alias was moved elsewhere; `breviary promote {name} VERSION` says which one is right"
        )
    if len(numbers) < 2:
        raise RegistryError(f"{current} is the first champion, there is none to go back to")
    target = versions.get(connection, name, numbers[-2])
    _note(connection, name, len(made), _change("rollback", target, "hand", reason))
    versions.point(connection, CHAMPION, target)
    return current, target


def _change(action: Literal["promote", "rollback"], version: Version, by: Literal["gate", "hand"], why: str) -> Change:
    if not why.strip():
        raise RegistryError(f"why? A {action} needs a reason, which is kept: --reason TEXT")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Change(action, version.number, by, why.strip()[:LONGEST], now)


def _note(connection: store.Connection, name: str, count: int, change: Change) -> None:
    with versions.talking(f"the history of {name} was not written"):
        tag = f"{PREFIX}{count + 1:04d}"
        connection.client.set_registered_model_tag(name, tag, json.dumps(asdict(change), ensure_ascii=False))
