"""Retrieval-aware distillation from files to files: passages, the teacher's texts, and the student that learns them.

Definition and sources: docs/DISTILLATION.md.
"""

import gc
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.data import contexts
from breviary.data.prompts import Prompter
from breviary.errors import DataError
from breviary.learn import start
from breviary.learn.distilling import Options
from breviary.learn.lessons import Lesson
from breviary.learn.validation import VALID
from breviary.model import compute, resolve
from breviary.model import student as students
from breviary.model.student import Student
from breviary.records import Chunk, Document
from breviary.stage import Stage
from breviary.summarise import backbone, retrieval, retrieved, teacher
from breviary.summarise.retrieved import Source
from breviary.summarise.teacher import Teacher, Written

SECTIONS = (*start.SECTIONS, "distill")
DOCUMENTS, CHUNKS, ENCODER = Path("data/documents.jsonl"), Path("data/chunks.jsonl"), Path("models/encoder.json")
STUDENT, METRICS, CURVE = Path("models/student"), Path("metrics/distill.json"), Path("metrics/curves/distill.csv")
TEACHERS = tuple(Path("models", name) for name in ("phase1", "phase2", "phase3"))
READS = (backbone.BASE, ENCODER, DOCUMENTS, CHUNKS, VALID, *TEACHERS)


def run(stage: Stage) -> None:
    """Write models/student, metrics/distill.json and its curve."""
    from breviary.learn import study, written

    compute.prepare(stage.runtime)  # before the encoder, which looks for passages
    options = stage.params.section("distill", Options)
    record = _record(options, stage.run.scratch)
    prompter = backbone.prompter(stage.params, record)
    asked = teacher.find(stage.params, options, stage.run.scratch)
    if options.logits:
        teacher.require_one_tokenizer(asked.record, record)
    study.require_memory(stage.params, options, record)
    chosen = _passages(options, stage.runtime.seed)
    texts = teacher.write(asked, chosen, options, stage.params, stage.run.scratch)
    learnt, size = _lessons(asked, texts, chosen, prompter, options)
    asked.load.cache_clear()
    gc.collect()  # fused layers and their forward passes hold each other
    same = resolve.identity(asked.record) == resolve.identity(record)
    studied = study.run(stage, options, learnt, prompter, record, asked.adapter if same else None)
    students.save(studied.student, STUDENT, record, backbone.BASE)
    report = {
        **written.summary(studied.progress),
        **_about_lessons(learnt, size),
        "kl": studied.divergence,
        "student": _about_student(options, studied.student),
        "teacher": {
            "model": asked.name,
            "parameters": texts.parameters,
            "finished": round(sum(each.finished for each in texts.texts.values()) / len(texts.texts), 4),
        },
    }
    artifacts.write_json(METRICS, report)
    artifacts.write_text(CURVE, written.curve(studied.progress))
    stage.run.artifacts(STUDENT)


def _about_lessons(learnt: list[Lesson], size: float) -> dict[str, Any]:
    return {
        "cache": {"bytes_per_target": size, "targets": sum(len(each.target) for each in learnt)},
        "examples": len(learnt),
        "support": {
            "mean": round(sum(each.support for each in learnt) / len(learnt), 4),
            "least": round(min(each.support for each in learnt), 4),
        },
    }


def _about_student(options: Options, student: Student) -> dict[str, Any]:
    numbers = students.parameters(student.model)
    return {
        "kind": options.student.kind,
        "parameters": numbers["all"],
        "adapter_parameters": numbers["adapter"],
        "layers": student.layers - len(student.removed),
        "removed": student.removed,
        "candidates": {str(first): round(loss, 4) for first, loss in student.candidates.items()},
    }


def _record(options: Options, scratch: Path) -> Path:
    """The record of the student's backbone; of another one than the project's it is in `scratch`, and fetched."""
    other = getattr(options.student, "backbone", None)
    if other is None:
        return backbone.BASE
    artifacts.write_json(scratch / "student.json", resolve.record(other))
    return scratch / "student.json"


def _passages(options: Options, seed: int) -> list[Source]:
    chunks, documents = artifacts.read_records(CHUNKS, Chunk), artifacts.read_records(DOCUMENTS, Document)
    chosen, usable = retrieved.choose(chunks, documents, options.examples, seed)
    if options.retrieval is None:
        return [Source(chunk) for chunk in chosen]
    index = _index(options.retrieval.by)
    return retrieved.beside(chosen, usable, options.retrieval.k, index, across=options.retrieval.across)


def _index(by: str) -> retrieval.Index:
    if by == "dense":
        from breviary.model import encoder

        return retrieval.dense(encoder.load(resolve.folder(ENCODER)).encode)
    return {"bm25": retrieval.bm25, "tfidf": retrieval.tfidf}[by]


def _lessons(
    asked: Teacher, texts: Written, chosen: list[Source], prompter: Prompter, options: Options
) -> tuple[list[Lesson], float]:
    """What the student learns, and how many bytes a target the teacher's expectations take (0 without any)."""
    share = options.retrieval.share if options.retrieval else 0.0
    kept = [each for each in chosen if texts.texts[each.chunk.id].text]
    if not kept:
        raise DataError(f"of {len(chosen)} summaries by the teacher, none has a word; see its texts")
    targets = {each.chunk.id: teacher.target(prompter, texts.texts[each.chunk.id]) for each in kept}
    taught: dict[str, Any] = {}
    size = 0.0
    if options.logits:
        taught, size = teacher.expect(asked, texts, targets, options)
    stop = _stop_words()
    learnt = []
    for each in kept:
        text, related = each.chunk.text, [one.text for one in each.related]
        said = texts.texts[each.chunk.id].text
        known = retrieved.support(said, " ".join([text, *related]), stop) if options.support == "words" else 1.0
        seen = contexts.prompt(prompter, text, related, share).ids
        named = {"id": each.chunk.id, "document": each.chunk.document, "support": known}
        lesson = Lesson(
            seen=seen,
            alone=prompter.prompt(text).ids,
            target=targets[each.chunk.id],
            taught=taught.get(each.chunk.id),
            **named,
        )
        learnt.append(lesson)
    return learnt, size


def _stop_words() -> frozenset[str]:
    """English words that say nothing of what a text is about."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
