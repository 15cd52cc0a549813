"""Distillation from files to files on the tiny backbone: the student comes nearer to its teacher."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts, config, tracking
from breviary.errors import ArtifactError, ConfigError, DataError, ModelError
from breviary.learn import distilling
from breviary.model import depth, resolve
from breviary.records import Chunk, Document, Example
from breviary.stage import Stage
from breviary.summarise import backbone, distill, teacher

LORA = {"kind": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": ["q_proj", "down_proj"]}
SECTION = {
    "teacher": "phase3",
    "student": {"kind": "pruned", "layers": 1, "start": 0},
    "examples": 6,
    "max_new_tokens": 12,
    "batch_size": 3,
    "retrieval": {"k": 2, "by": "bm25", "dropout": 0.5},
    "logits": {"k": 64, "temperature": 0.1, "weight": 0.999},  # random words are near equal at 1
    "support": "none",
    "epochs": 8,
    "batch": 3,
    "micro_batch": 2,
    "optimizer": {"kind": "adamw", "lr": 5e-3, "loraplus_ratio": 4.0, "weight_decay": 0.0},
    "schedule": {"kind": "constant", "warmup_share": 0.0},
    "validate_every": 100,
    "checkpoint_every": 100,
}
TEXT = "the model reads a paper and says what it found in a few plain words about old stars"
Distil = Callable[..., dict[str, Any]]


@pytest.fixture
def project(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose earlier stages have run, with a teacher that is not the backbone."""
    import torch

    from breviary.model import adapt

    cache = tmp_path / "cache"
    shutil.copytree(tiny.cache, cache)
    monkeypatch.setenv("BREVIARY_CACHE", str(cache))
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    shutil.copy(tiny.record, folder / backbone.BASE)
    taught = tiny.adapted()
    with torch.no_grad():
        for number, weight in enumerate(adapt.trainable(taught).values()):
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)))
    adapt.save(taught, folder / "models/phase3", tiny.identity)
    documents, chunks, valid = [], [], []
    for number in range(5):
        words = TEXT.split()[number:] + TEXT.split()[:number]
        domain, split = ("paper", "talk")[number % 2], "train" if number < 4 else "test"
        document = Document(domain, f"{number}", " ".join(words), "what nobody may read of this")
        documents.append(document)
        for index, part in enumerate((words[:6], words[6:12], words[12:])):
            text = f"{' '.join(part)} {number}"
            chunks.append(Chunk(document.id, domain, split, index, 50 * index, 50 * index + 9, len(text), text))
        valid.append(Example(document.id, domain, domain, "t", document.text, "old stars"))
    artifacts.write_records(folder / distill.DOCUMENTS, documents)
    artifacts.write_records(folder / distill.CHUNKS, chunks)
    artifacts.write_records(folder / distill.VALID, valid)
    return folder


@pytest.fixture
def distil(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distil]:
    """Run the stage; what it wrote to its metrics."""
    import torch
    from accelerate.state import AcceleratorState

    threads, turns = torch.get_num_threads(), iter(range(100))

    def run(**changes: Any) -> dict[str, Any]:
        monkeypatch.chdir(project)
        turn = next(turns)
        scratch = project.parent / "scratch" / str(turn)
        scratch.mkdir(parents=True)
        try:
            distill.run(Stage("distill", (params := read(**changes)), tracking.Run("distill", scratch, None), params))
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)
        return artifacts.read_json(distill.METRICS)

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def read(**changes: Any) -> config.Params:
    values = {
        "runtime": {"seed": 17, "threads": 1},
        "compute": {"precision": "fp32", "quantisation": "none"},
        "adapter": LORA,
        "prompt": {"style": "plain", "max_tokens": 192, "max_summary_tokens": 32},
        "distill": SECTION | changes,
    }
    Path("params.yaml").write_text(json.dumps(values))
    known = config.SECTIONS | {"distill": "breviary.learn.distilling"}
    return config.read(Path("params.yaml"), {section: known[section] for section in values})


def test_a_pruned_student_comes_nearer_to_its_teacher_and_loads_without_its_layers(
    distil: Distil, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from breviary.model import memory

    made = distil()
    assert 0 < made["kl"]["after"] < 0.7 * made["kl"]["before"]
    assert made["student"]["removed"] == [0] and made["student"]["layers"] == 1 and made["student"]["candidates"] == {}
    assert made["student"]["parameters"] < made["teacher"]["parameters"] and made["teacher"]["model"] == "phase3"
    assert made["examples"] == 6 and made["cache"]["bytes_per_target"] == 64 * 4 + 2
    assert {path.name for path in (project / distill.STUDENT).iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors", "backbone.json", "pruned.json", "sha256.json")
    }
    lines = (project / distill.CURVE).read_text().splitlines()
    assert "loss/distillation" in lines[0] and len(lines) == 1 + 1 + 8 * 2
    loaded = backbone.load(read(), distill.STUDENT, "test", memory.Estimate(0, 0, 0, 0, 0))
    assert len(depth.stack(loaded)) == loaded.config.num_hidden_layers == 1


@pytest.mark.slow
def test_it_repeats_to_the_byte_whether_captured_or_found(
    distil: Distil, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = distil(), (project / distill.STUDENT / "adapter_model.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(backbone, "load", lambda *_: pytest.fail("the teacher was loaded although all is captured"))
        assert (distil(), (project / distill.STUDENT / "adapter_model.safetensors").read_bytes()) == first
    captured = project.parent / "cache" / teacher.STORE
    assert len(list(captured.glob("*/"))) == 2
    distil(logits={"k": 4, "temperature": 1.0, "weight": 0.5})
    assert len(list(captured.glob("*/"))) == 3, "other logits of the same texts"
    texts = next(captured.glob(f"*/{teacher.TEXTS}"))
    texts.write_text(texts.read_text().replace("a", "b"))
    with pytest.raises(ArtifactError, match=r"summaries\.json is not what was captured"):
        distil()


@pytest.mark.slow
def test_other_students(distil: Distil, project: Path) -> None:
    smaller = distil(student={"kind": "adapter", "rank": 2, "alpha": 4.0}, retrieval=None)
    assert smaller["student"]["layers"] == 2 and smaller["student"]["removed"] == []
    assert not (project / distill.STUDENT / "pruned.json").exists()
    other = distil(student={"kind": "backbone", "backbone": {"kind": "tiny", "width": 32}}, logits=None)
    assert other["kl"] == {} and other["cache"]["bytes_per_target"] == 0
    assert backbone.record(distill.STUDENT) == distill.STUDENT / "base.json"
    assert resolve.identity(backbone.record(distill.STUDENT)) != resolve.identity(backbone.BASE)
    assert backbone.record(Path("models/phase3")) == backbone.record(None) == backbone.BASE


def test_expectations_of_another_tokenizer_are_refused(distil: Distil, project: Path) -> None:
    base = artifacts.read_json(project / backbone.BASE)
    base["files"]["tokenizer.json"] = "0" * 64
    artifacts.write_json(project / "other.json", base)
    with pytest.raises(ConfigError, match=r"distill\.logits: teacher and student have different tokenizers"):
        teacher.require_one_tokenizer(project / "other.json", project / backbone.BASE)
    base["config"]["vocab_size"] = 300
    base["files"] = artifacts.read_json(project / backbone.BASE)["files"]
    artifacts.write_json(project / "other.json", base)
    with pytest.raises(ConfigError, match="different tokenizers"):
        teacher.require_one_tokenizer(project / "other.json", project / backbone.BASE)


def test_a_teacher_of_other_weights_is_refused(distil: Distil, project: Path) -> None:
    artifacts.write_json(project / "models/phase3/backbone.json", {"weights": "other"})
    (project / "models/phase3" / artifacts.SEAL).unlink()
    with pytest.raises(ModelError, match="models/phase3: this adapter was trained on backbone weights other"):
        distil()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": "phase4"}, r"distill: teacher: unknown model, did you mean 'phase3'\?"),
        ({"teacher": 3}, r"distill: teacher: one of base, phase1, phase2, phase3, or a mapping"),
        ({"student": {"kind": "prund"}}, r"no kind 'prund' in students, did you mean 'pruned'\?"),
        ({"micro_batch": 4}, r"micro_batch=4 exceeds batch=3"),
        ({"logits": {"k": 4, "weight": 1.0}}, r"distill\.logits\.weight: Input should be less than 1"),
    ],
)
def test_mistakes_are_named(
    changes: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        read(**changes)


def test_a_summary_that_was_not_ended_is_learnt_without_an_end(tiny: Any) -> None:
    from breviary.data import prompts
    from breviary.data.prompts import Generated
    from breviary.model import chat

    options = prompts.Options(style="plain", template=None, max_tokens=128, max_summary_tokens=8)
    prompter = prompts.build(options, tiny.tokenizer, 4096, chat.frame)
    assert teacher.target(prompter, Generated("ab", 2, True)) == [*prompter.tokenizer.encode(" ab"), 257]
    assert teacher.target(prompter, Generated("ab", 2, False)) == prompter.tokenizer.encode(" ab")
    assert teacher.target(prompter, Generated("abcdefghij", 9, True)) == prompter.tokenizer.encode(" abcdefg")


def test_the_section_is_a_phase_of_the_curriculum() -> None:
    phase = distilling.Options.model_validate(SECTION).phase()
    assert phase.terms == {
        "cross_entropy": {"weight": pytest.approx(0.001)},
        "distillation": {"weight": 0.999, "temperature": 0.1},
    }
    assert distilling.Options.model_validate(SECTION | {"logits": None}).phase().terms == {
        "cross_entropy": {"weight": 1}
    }


def test_texts_without_a_word_of_their_source_are_refused(distil: Distil) -> None:
    with pytest.raises(DataError, match="of 6 summaries by the teacher, none has one word of its source"):
        distil(support="words")


def test_a_teacher_without_a_word_is_refused(distil: Distil, monkeypatch: pytest.MonkeyPatch) -> None:
    write = teacher.write

    def silent(*given: Any) -> Any:
        written = write(*given)
        return replace(written, texts={name: replace(each, text="") for name, each in written.texts.items()})

    monkeypatch.setattr(teacher, "write", silent)
    with pytest.raises(DataError, match="of 6 summaries by the teacher, none has a word"):
        distil()
