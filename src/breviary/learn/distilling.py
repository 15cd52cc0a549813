"""How the student is made and taught, as params.yaml describes it. Light: all stages check it."""

from typing import Any, Literal

from pydantic import Field, model_validator

from breviary import catalogue, config
from breviary.errors import ConfigError
from breviary.learn import curriculum
from breviary.model.resolve import BACKBONES
from breviary.model.student import STUDENTS

NAMED = ("base", "phase1", "phase2", "phase3")  # teachers on the project's own backbone


class Retrieval(config.Options):
    """Which other passages of the training documents a passage is summarised with."""

    k: int = Field(ge=1)  # passages
    by: Literal["dense", "bm25", "tfidf"]
    across: bool = False  # passages of other training documents too, not of the same document alone
    share: float = Field(default=0.4, gt=0, lt=1)  # of the prompt's room, kept for them
    dropout: float = Field(default=0.5, ge=0, le=1)  # how often the student sees the passage alone


class Logits(config.Options):
    """What is kept of the teacher's expectations at each target, and how much they count."""

    k: int = Field(ge=1, le=4096)  # likeliest tokens
    temperature: float = Field(default=2.0, gt=0, le=100)
    weight: float = Field(default=0.5, gt=0, lt=1)  # w of (1 - w) CE + w T^2 KL


class Options(config.Options):
    """Section `distill`."""

    teacher: Any  # one of `NAMED`, or another model as in section `backbone`
    student: catalogue.kind_of(STUDENTS)  # type: ignore[valid-type]
    examples: int = Field(ge=1)  # passages of training documents
    max_new_tokens: int = Field(ge=1)  # of one of the teacher's summaries
    beams: int = Field(default=1, ge=1, le=64)
    no_repeat_ngram: int = Field(default=3, ge=0, le=64)
    batch_size: int = Field(ge=1, le=4096)  # prompts that the teacher answers together
    retrieval: Retrieval | None
    logits: Logits | None
    support: Literal["words", "none"]  # what an example counts: the share of its summary's words that the source has
    search_examples: int = Field(default=2, ge=1)  # validation examples of each domain that choose among students
    measured: int = Field(default=8, ge=1)  # examples on which the divergence is measured, before and after
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    micro_batch: int = Field(ge=1)
    optimizer: curriculum.Optimizer
    schedule: curriculum.Schedule
    max_grad_norm: float = Field(default=1.0, gt=0)
    gradient_checkpointing: bool = False
    validate_every: int = Field(ge=1)
    keep: Literal["best", "last"] = "last"
    checkpoint_every: int = Field(ge=1)
    max_nonfinite_share: float = Field(default=0.02, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _teacher_is_a_name_or_a_model(cls, values: Any) -> Any:
        teacher = values.get("teacher") if isinstance(values, dict) else None
        if isinstance(teacher, str) and teacher not in NAMED:
            raise ConfigError(f"teacher: {config.unknown_key(teacher, NAMED).replace('key', 'model')}")
        if isinstance(teacher, dict):
            kind = catalogue.resolve(BACKBONES, str(teacher.get("kind")))
            return values | {"teacher": kind.Options.model_validate(teacher)}
        return values

    @model_validator(mode="after")
    def _a_phase_can_be_made_of_it(self) -> "Options":
        if not isinstance(self.teacher, str | config.Options):
            raise ConfigError(f"teacher: one of {', '.join(NAMED)}, or a mapping as in section backbone")
        self.phase()
        return self

    def phase(self) -> curriculum.Options:
        """The training of the student as a phase of the curriculum, whose loop it shares."""
        logits = self.logits
        terms = {"cross_entropy": {"weight": 1.0 - logits.weight if logits else 1.0}}
        if logits:
            terms["distillation"] = {"weight": logits.weight, "temperature": logits.temperature}
        shared = curriculum.Options.model_fields.keys() - {"terms", "constraints"}
        given = {name: value for name, value in self.model_dump().items() if name in shared}
        return curriculum.Options.model_validate(given | {"terms": terms})
