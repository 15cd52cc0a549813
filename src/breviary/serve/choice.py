"""Which model a person means: what it is called, and its backbone, adapter and settings.

base                       the backbone itself
phase1, ..., student       a model that this project trained, in models/
models:/NAME@ALIAS         a registered one, asked as it was measured; also models:/NAME/VERSION
nothing                    the registered champion; where there is none, the newest phase
"""

from dataclasses import dataclass
from pathlib import Path

from breviary import config, stage
from breviary.errors import ConfigError
from breviary.model import resolve
from breviary.records import content_hash
from breviary.registry import package, versions
from breviary.serve import registered
from breviary.summarise import backbone
from breviary.tracking import fingerprint

CHAMPION = "models:/breviary@champion"
TRAINED = Path("models")


@dataclass(frozen=True)
class Choice:
    """A model, and all that it takes to load it."""

    name: str
    params: config.Params
    base: Path  # record of the backbone
    adapter: Path | None
    note: str = ""  # what else must be said of it


def choose(name: str | None) -> Choice:
    """The model called `name`. Raises ConfigError or RegistryError naming those that there are."""
    if name is not None and name.startswith("models:"):
        return _registered(name)
    trained = sorted(path.parent.name for path in TRAINED.glob("*/adapter_config.json"))
    if name is None:
        if found := _champion():
            return found
        phases = [each for each in trained if each.startswith("phase")]
        name = phases[-1] if phases else "phase3"
        note = f"no registered champion; summarised with {name}, `dvc repro register` makes one"
        return _of_project(name, trained, note)
    return _of_project(name, trained)


def known() -> list[str]:
    """What there is: the champion, then what this project trained, the last phase first, then the backbone."""
    trained = sorted((path.parent.name for path in TRAINED.glob("*/adapter_config.json")), key=_order, reverse=True)
    return [*([CHAMPION] if _champion() else []), *trained, "base"]


def content(found: Choice) -> str:
    """A hash of the backbone's weights and the adapter's files."""
    adapter = [found.adapter] if found.adapter else []
    return content_hash(resolve.identity(found.base), *(item.md5 for item in fingerprint.inputs(adapter)))


def _order(name: str) -> tuple[bool, str]:
    return name.startswith("phase"), name


def _of_project(name: str, trained: list[str], note: str = "") -> Choice:
    if name != "base" and name not in trained:
        known = ", ".join(["base", *trained])
        raise ConfigError(f"no trained model '{name}' (there is: {known}); run `dvc repro`, or `dvc pull`")
    adapter = None if name == "base" else TRAINED / name
    return Choice(name, config.read(stage.PARAMS), backbone.record(adapter), adapter, note)


def _champion() -> Choice | None:
    """None where nothing was registered yet; a registry that does not answer is an error, and not another model."""
    if not versions.exists():
        return None
    match = versions.URI.fullmatch(CHAMPION)
    assert match is not None
    found = versions.aliased(versions.opened(), match["name"], match["alias"])
    return _registered(CHAMPION) if found else None


def _registered(uri: str) -> Choice:
    connection = versions.opened()
    version = versions.at(connection, uri)
    files = versions.folder(connection, version, resolve.cache() / "registered") / "artifacts"
    params = registered.params(files / package.PARAMS)
    return Choice(uri, params, files / package.BASE, files / package.ADAPTER, f"summarised with {version}")
