"""What the teacher wrote for each passage, and what it expected at each token, captured once.

The teacher reads a passage with its related ones (`data/contexts.py`) and writes a summary; then, where it shares its
tokenizer with the student, it is asked once more about every token of that summary, now as a target. Both are kept in
the model cache under a name made of all that they depend on (`captures.py`): asking for other k or another temperature
writes no text again.

A summary that the teacher did not end within its tokens is learnt without the token that ends a text, so that nothing
teaches the student to stop in the middle of a sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from breviary import artifacts, config
from breviary.data import contexts, prompts
from breviary.data.prompts import Generated, Prompt, Prompter
from breviary.errors import ConfigError
from breviary.learn.distilling import Options
from breviary.model import compute, memory, resolve
from breviary.records import content_hash
from breviary.summarise import backbone, captures, predictions
from breviary.summarise.retrieved import Source

FORMAT = 1  # raise it when what is captured changes
TEXTS, MODEL = "summaries.json", "teacher.json"
STORE = "teacher"  # folder of the model cache


@dataclass(frozen=True)
class Teacher:
    """A model, not loaded yet, and its prompts."""

    name: str
    record: Path  # of its backbone
    adapter: Path | None
    prompter: Prompter
    load: Callable[[], Any]  # at most once

    def identity(self) -> dict[str, Any]:
        """All files that decide what it writes, by their sha256."""
        folder = sorted(self.adapter.glob("*")) if self.adapter else []
        files = {path.name: artifacts.sha256(path) for path in folder if path.is_file()}
        return {"backbone": artifacts.read_json(self.record)["files"], "adapter": files}


@dataclass(frozen=True)
class Written:
    """What the teacher wrote, by the passage's id, and where that is kept."""

    prompts: Mapping[str, Prompt]
    texts: Mapping[str, Generated]
    parameters: int
    folder: Path


def find(params: config.Params, options: Options, scratch: Path) -> Teacher:
    """The teacher that `options` names. No model is loaded; another backbone is fetched, its record is in `scratch`."""
    named = isinstance(options.teacher, str)
    adapter = Path("models", options.teacher) if named and options.teacher != "base" else None
    record = backbone.BASE
    if not named:
        record = scratch / "teacher.json"
        artifacts.write_json(record, resolve.record(options.teacher))
    needed = memory.generation(
        memory.shape(backbone.shape(record)),
        precision=params.section("compute", compute.Options).precision,
        quantisation=params.section("compute", compute.Options).quantisation,
        batch=options.batch_size,
        max_tokens=params.section("prompt", prompts.Options).max_tokens,
        max_new_tokens=options.max_new_tokens,
        beams=options.beams,
    )
    load = cache(partial(backbone.load, params, adapter, "distill", needed, record))
    name = options.teacher if named else resolve.identity(record)
    return Teacher(name, record, adapter, backbone.prompter(params, record), load)


def write(
    teacher: Teacher, passages: Sequence[Source], options: Options, params: config.Params, scratch: Path
) -> Written:
    """A summary of each passage. Raises ArtifactError where what was captured earlier is not what it says."""
    share = options.retrieval.share if options.retrieval else 0.0
    asked = {
        each.chunk.id: contexts.prompt(teacher.prompter, each.chunk.text, [one.text for one in each.related], share)
        for each in passages
    }
    runtime = params.section("runtime", config.Runtime)
    settings = {
        "max_new_tokens": options.max_new_tokens,
        "num_beams": options.beams,
        "do_sample": False,
        "no_repeat_ngram": options.no_repeat_ngram,
    }
    binding = {
        "format": FORMAT,
        "model": teacher.identity(),
        "arithmetic": params.section("compute", compute.Options).model_dump(),
        "decoding": settings | {"batch_size": options.batch_size},
        "prompts": content_hash(*(f"{name} {asked[name].ids}" for name in sorted(asked))),
    }

    def make(folder: Path) -> None:
        from breviary.model import generate, student

        model = teacher.load()
        answer = partial(generate.generate, model, teacher.prompter.tokenizer, settings=settings, seed=runtime.seed)
        answers = predictions.predict(asked, answer, scratch / "teacher.jsonl", batch_size=options.batch_size)
        artifacts.write_json(folder / TEXTS, {name: asdict(each) for name, each in answers.items()})
        artifacts.write_json(folder / MODEL, {"parameters": student.parameters(model)["all"]})

    folder = captures.entry(resolve.cache() / STORE, binding, make)
    texts = {name: Generated(**each) for name, each in artifacts.read_json(folder / TEXTS).items()}
    return Written(asked, texts, int(artifacts.read_json(folder / MODEL)["parameters"]), folder)


def expect(
    teacher: Teacher, written: Written, targets: Mapping[str, Sequence[int]], options: Options
) -> tuple[dict[str, Any], float]:
    """What the teacher expected at each of `targets`, by passage, and how many bytes a target that takes on disk."""
    from breviary.data.batches import Row
    from breviary.learn import expectations

    assert options.logits is not None
    chosen, pad = options.logits, teacher.prompter.tokenizer.pad
    binding = {
        "format": FORMAT,
        "texts": written.folder.name,
        "targets": content_hash(*(f"{name} {list(targets[name])}" for name in sorted(targets))),
        "k": chosen.k,
        "temperature": chosen.temperature,
    }

    def make(folder: Path) -> None:
        rows = [Row(name, written.prompts[name].ids, list(target)) for name, target in targets.items()]
        model = teacher.load()
        asked = {"k": chosen.k, "temperature": chosen.temperature, "batch_size": options.micro_batch, "pad": pad}
        found = expectations.ask(model, rows, **asked)
        expectations.save(found, folder / expectations.FILE, model.config.vocab_size)

    file = captures.entry(resolve.cache() / STORE, binding, make) / expectations.FILE
    return expectations.load(file, {name: len(each) for name, each in targets.items()}), expectations.bytes_per_target(
        file
    )


def target(prompter: Prompter, written: Generated) -> list[int]:
    """The tokens that the student learns of a text: with the end of the text only where the teacher ended it."""
    ids = prompter.tokenizer.encode(prompter.target_text(written.text))
    if written.finished and len(ids) < prompter.max_summary_tokens:
        return [*ids, prompter.tokenizer.end]
    return ids[: prompter.max_summary_tokens]


def require_one_tokenizer(teacher: Path, student: Path) -> None:
    """Raise ConfigError where the models of these two records do not have the same tokens under the same numbers."""
    known = [artifacts.read_json(path) for path in (teacher, student)]
    tokenizers = {each["files"].get("tokenizer.json") for each in known}
    sizes = {each["config"]["vocab_size"] for each in known}
    if len(tokenizers) > 1 or len(sizes) > 1 or None in tokenizers:
        raise ConfigError(
            "distill.logits: teacher and student have different tokenizers, so that their expectations cannot be "
            "compared token by token; write `logits: null` to learn from the teacher's text alone"
        )
