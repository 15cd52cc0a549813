"""The config.json of a backbone, before its weights are here: enough to say whether it will fit."""

from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.model import resolve


def config(options: Any, record: Path) -> dict[str, Any] | None:
    """From the record, if that is of this backbone; from the hub, which gives single files; or None."""
    if record.is_file():
        known = artifacts.read_json(record)
        if known["options"] == options.model_dump():
            return known["config"]
    if options.kind != "hub":
        return None
    return _from_hub(options.name, options.revision, resolve.cache() / "models" / "hub")


def _from_hub(name: str, revision: str, place: Path) -> dict[str, Any] | None:
    """One request and no retries: `hf_hub_download` tries for half a minute where there is no hub."""
    import requests
    from huggingface_hub import hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils import build_hf_headers

    cached = try_to_load_from_cache(name, "config.json", cache_dir=place, revision=revision)
    if isinstance(cached, str):
        return artifacts.read_json(Path(cached))
    url = hf_hub_url(name, "config.json", revision=revision)
    try:
        answer = requests.get(url, headers=build_hf_headers(), timeout=5)
        return answer.json() if answer.ok else None
    except (OSError, ValueError):  # no network, or something that is not the hub answered
        return None
