"""Everything that reads bytes from outside, as a function of bytes that raises this project's own errors or none.

`bench.fuzz` and `tests/fuzz` try them. Each comes with samples that it accepts and with fragments of its format, of
which structured mutations are made. Folders of several files are one input: their parts, joined by SPLIT.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import samples
from bench.samples import IDENTITY, NAMED, SPLIT
from breviary import artifacts, catalogue, config
from breviary.data import documents, signatures
from breviary.data.intake import Found
from breviary.data.sources import jsonl
from breviary.errors import BreviaryError
from breviary.lineage import lock
from breviary.records import Document, Pair

Read = Callable[[bytes, Path], Any]  # what was sent, and an empty folder for whoever needs files


@dataclass(frozen=True)
class Reader:
    """One reader, and what it is tried with."""

    read: Read
    samples: Callable[[], list[bytes]]
    fragments: tuple[bytes, ...]


def refused(error: BaseException) -> bool:
    """Whether a reader may raise `error`. Each caller of a format turns a wrong encoding into words of its own."""
    return isinstance(error, BreviaryError | UnicodeDecodeError)


def mutants(reader: Reader, count: int, seed: int) -> list[bytes]:
    """`count` inputs from samples and fragments: cut, doubled, turned, with fragments put in or nothing else."""
    draw, known = random.Random(seed), reader.samples()
    found = []
    for _ in range(count):
        sample = bytearray(draw.choice(known))
        for _ in range(draw.randint(1, 4)):
            start, end = sorted(draw.randrange(len(sample) + 1) for _ in range(2))
            piece = draw.choice([draw.choice(reader.fragments), bytes(sample[start:end]), b"", draw.randbytes(2)])
            sample[start : draw.choice([start, end])] = piece * draw.choice([1, 1, 1, 2, 50])
        found.append(bytes(sample))
    joined = [b"".join(draw.choices(reader.fragments, k=draw.randint(1, 40))) for _ in range(count)]
    return [*found, *joined]


def _format(suffix: str) -> Read:
    def read(raw: bytes, folder: Path) -> Any:
        signatures.check(raw, suffix, f"x.{suffix}")
        parsed = catalogue.resolve("breviary.data.formats", suffix).parse(raw, f"x.{suffix}")
        return documents.repair(Found(Document("x", parsed.title, parsed.text, times=parsed.times)))

    return read


def _jsonl(raw: bytes, folder: Path) -> Any:
    name = "x.jsonl.gz" if raw.startswith(jsonl.GZIP) else "x.jsonl"
    path = _put(folder, {name: raw}) / name
    options = jsonl.Options(kind="jsonl", path=str(path), domain="x", max_line_mb=1, max_total_mb=1)
    return [documents.repair(each) for each in jsonl.read(options, cache=folder) if isinstance(each, Found)]


def _params(raw: bytes, folder: Path) -> Any:
    sections = {name: config.SECTIONS[name] for name in NAMED if f"{name}:".encode() in raw}
    return config.read(_put(folder, {"params.yaml": raw}) / "params.yaml", sections)


def _records(raw: bytes, folder: Path) -> Any:
    return artifacts.read_records(_put(folder, {"x.jsonl": raw}) / "x.jsonl", Pair if b"left" in raw else Document)


def _json(raw: bytes, folder: Path) -> Any:
    return artifacts.read_json(_put(folder, {"x.json": raw}) / "x.json")


def _lock(raw: bytes, folder: Path) -> Any:
    return lock.parse(raw.decode(), lock.Origin("workspace", "", ""))


def _adapter(raw: bytes, folder: Path) -> Any:
    from breviary.model import adapt, adapted

    names = (adapt.BINDING, *adapt.FILES)
    parts = zip(names, [*raw.split(SPLIT, 2), b"", b""], strict=False)
    return adapted.stored(_put(folder, {str(name): part for name, part in parts}), IDENTITY)


def _anchor(raw: bytes, folder: Path) -> Any:
    import torch

    from breviary.learn import anchors

    return anchors.load(_put(folder, {anchors.TENSORS: raw}), {"w": torch.zeros(2, 3)})


def _subspace(raw: bytes, folder: Path) -> Any:
    from breviary.learn import subspace
    from breviary.model import compute

    path = _put(folder, {"base.safetensors": raw}) / "base.safetensors"
    return subspace.read(path, "base", IDENTITY, compute.Options(precision="fp32", quantisation="none"))


def _checkpoint(raw: bytes, folder: Path) -> Any:
    import torch

    from breviary.learn import checkpoint

    names = (checkpoint.NUMBERS, checkpoint.TENSORS, artifacts.SEAL)
    parts = zip(names, [*raw.split(SPLIT, 2), b"", b""], strict=False)
    _put(folder, {f"step-1/{name}": part for name, part in parts})
    weight = torch.nn.Parameter(torch.zeros(2, 3))
    return checkpoint.restore(folder, {"w": weight.data}, torch.optim.AdamW([weight]))


def _put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


READERS = {
    "vtt": Reader(_format("vtt"), samples.of_repository("talks/*.vtt"), samples.CUES),
    "srt": Reader(_format("srt"), samples.srt, samples.CUES),
    "txt": Reader(_format("txt"), samples.of_repository("papers/*.md"), samples.TEXT),
    "md": Reader(_format("md"), samples.of_repository("papers/*.md"), samples.TEXT),
    "html": Reader(_format("html"), samples.html, samples.TAGS),
    "pdf": Reader(_format("pdf"), samples.pdf, samples.PDF),
    "jsonl": Reader(_jsonl, samples.rows, samples.JSON),
    "params": Reader(_params, samples.sections, samples.YAML),
    "records": Reader(_records, samples.records, samples.JSON),
    "json": Reader(_json, samples.records, samples.JSON),
    "lock": Reader(_lock, samples.lock, samples.YAML),
    "adapter": Reader(_adapter, samples.adapter, samples.TENSORS),
    "anchor": Reader(_anchor, samples.anchor, samples.TENSORS),
    "subspace": Reader(_subspace, samples.subspace, samples.TENSORS),
    "checkpoint": Reader(_checkpoint, samples.checkpoint, samples.TENSORS),
}
