"""Samples and fragments of every format that is read: what inputs for `bench.fuzz` and `tests/fuzz` are made of."""

import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from breviary.records import Document, Pair, to_dict

SPLIT = b"\n=====\n"  # between the files of a folder
ROOT = Path(__file__).parents[1]
LONGEST = 4096  # bytes of a sample: short inputs are tried more often
NAMED = ("runtime", "adapter", "chunk", "mix", "budget", "gate")  # sections of params.yaml that are tried
IDENTITY = "0" * 16  # of the backbone


def of_repository(pattern: str) -> Callable[[], list[bytes]]:
    """The first three files of the bundled corpus, each to the last blank line within LONGEST bytes."""
    files = sorted((ROOT / "sample").glob(pattern))[:3]
    return lambda: [raw[: raw.rfind(b"\n\n", 0, LONGEST) + 1] for raw in (file.read_bytes() for file in files)]


def srt() -> list[bytes]:
    return [
        b"1\n00:00:01,000 --> 00:00:02,500\nSalt is a <i>rock</i>\n\n2\n00:00:02,500 --> 00:00:04,000\nthat we eat.\n"
    ]


def html() -> list[bytes]:
    words = b"Nobody had measured how long a lighthouse keeper sleeps, and so we asked eleven of them. " * 3
    head = b'<!DOCTYPE html><html><head><meta charset="utf-8"><title>Sleep</title></head>'
    return [
        head
        + b"<body><nav><a href='/'>Home</a></nav><article><h1>Sleep</h1><p>"
        + words
        + b"</p></article></body></html>"
    ]


def pdf() -> list[bytes]:
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    made = []
    for packed in (False, True):
        writer = PdfWriter()
        page = writer.add_blank_page(612, 792)
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        named = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
        fonts = DictionaryObject({NameObject("/F1"): named})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(b"BT /F1 12 Tf 14 TL 72 720 Td (A lighthouse is a tow-) Tj T* (er with a lamp.) Tj ET")
        page[NameObject("/Contents")] = writer._add_object(content.flate_encode() if packed else content)
        writer.add_metadata({"/Title": "Lamps"})
        out = io.BytesIO()
        writer.write(out)
        made.append(out.getvalue())
    return made


def rows() -> list[bytes]:
    row = {
        "id": "a",
        "title": "Salt",
        "source_text": "Salt is a rock.",
        "summary": "A rock.",
        "license": "CC0",
        "group": "g",
    }
    return [json.dumps(row | {"id": str(at)}).encode() + b"\n" for at in range(2)]


def records() -> list[bytes]:
    made = [Document("paper", "Salt", "Salt is a rock."), Pair("a", "b", "c", "d", "train", 0.5, 1.1)]
    return [json.dumps(to_dict(each), sort_keys=True).encode() + b"\n" for each in made]


def sections() -> list[bytes]:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    parts = re.split(r"^(?=[a-z_0-9]+:)", text, flags=re.MULTILINE)
    return [part.encode() for part in parts if part.partition(":")[0] in NAMED]


def lock() -> list[bytes]:
    return [
        b"schema: '2.0'\nstages:\n  chunk:\n    cmd: x\n    deps:\n    - path: a\n      md5: 0a\n      size: 1\n"
        b"    params:\n      params.yaml: {chunk: {size: 1}}\n    outs:\n    - path: b\n      md5: 1b.dir\n"
    ]


def _tensors(**named: Any) -> bytes:
    from safetensors.torch import save

    return save(dict(named))


def adapter() -> list[bytes]:
    import torch

    settings = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
    }
    names = ("base_model.model.q_proj.lora_A.weight", "base_model.model.q_proj.lora_B.weight")
    tensors = _tensors(**{names[0]: torch.zeros(2, 3), names[1]: torch.zeros(3, 2)})
    return [SPLIT.join([json.dumps({"weights": IDENTITY}).encode(), json.dumps(settings).encode(), tensors])]


def anchor() -> list[bytes]:
    import torch

    return [_tensors(**{"fisher/w": torch.ones(2, 3), "weights/w": torch.zeros(2, 3)})]


def subspace() -> list[bytes]:
    import torch
    from safetensors.torch import save

    header = {"weights": IDENTITY, "quantisation": "none", "precision": "fp32", "energy": {"base": {"q": 0.5}}}
    parts = {"left": torch.zeros(3, 2), "values": torch.ones(2), "right": torch.zeros(4, 2)}
    tensors = {f"base/q/{part}": tensor for part, tensor in parts.items()}
    return [save(tensors, metadata={"subspace": json.dumps(header)})]


def checkpoint() -> list[bytes]:
    import torch

    numbers = {"step": 1, "best_loss": 2.0, "best_step": 1, "curve": [], "dropped": {}, "reports": {}, "optimizer": {}}
    parts = {
        "numbers.json": json.dumps(numbers).encode(),
        "tensors.safetensors": _tensors(**{"weight/w": torch.zeros(2, 3)}),
    }
    digests = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    return [SPLIT.join([*parts.values(), json.dumps(digests).encode()])]


def _parts(text: str) -> tuple[bytes, ...]:
    return tuple(part.encode("latin-1") for part in text.split("¦"))


YAML = _parts(
    ": ¦- ¦\n  ¦\n¦[¦]¦{¦}¦&a ¦*a¦!!int ¦!!binary ¦? ¦<<: *a¦'¦\"¦|\n ¦>\n ¦---\n¦...\n¦# c\n¦2e-4¦.inf¦0o9¦"
    "2001-99-99¦null"
)
JSON = _parts('{¦}¦[¦]¦,¦:¦"¦\\ud800¦\\u0000¦null¦true¦1e999¦NaN¦-0¦\n¦' + "9" * 5000)
CUES = _parts(
    "00:00:01.000¦00:00:02,000¦ --> ¦\n¦\n\n¦\r¦1¦<c>¦<v A>¦{\\an8}¦&amp;¦&#¦[Music]¦NOTE ¦STYLE¦\xe2\x99\xaa¦WEBVTT¦"
    "a b c ¦\xff¦\x00¦-->¦\xe2\x80\xa8¦" + "9" * 4400
)
TAGS = _parts(
    "<p>¦</p>¦<div>¦<b>¦</b>¦<table><tr><td>¦<!--¦-->¦<script>¦<![CDATA[¦&#x0;¦&#9999999;¦<svg>¦<article>¦<li>¦"
    "words here. ¦\x00¦<meta charset='utf-7'>¦<meta charset='idna'>¦<a href='//[x'>"
)
PDF = _parts(
    "obj\n¦endobj¦stream\n¦endstream¦<<¦>>¦/Kids [1 0 R]¦/Length 9999999999¦/Filter /FlateDecode¦1 0 R¦xref\n¦trailer¦"
    "startxref\n¦%%EOF¦/Count -1¦/ObjStm¦/Encrypt <<¦(¦)¦[¦BT¦Tj¦Do¦/W [1 9 1]"
)
TENSORS = (
    SPLIT,
    *JSON,
    *_parts('\x00\x00\x00\x00¦\xff\xff\xff\xff¦"dtype":"F32"¦"F8_E8M0"¦"shape":[¦-1¦"data_offsets":[¦{}'),
)
TEXT = (*YAML, *_parts("title: x\n¦# ¦#¦ ¦```\n¦~~~¦<!--¦-->¦\xef\xbb\xbf¦\xff\xfe¦\r\n¦\xed\xa0\x80"))
