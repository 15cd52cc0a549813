"""The model behind the service: one in memory at a time, loaded when it is first asked for."""

import gc
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from breviary import config, stage
from breviary.data.cleaning import clean
from breviary.errors import DataError
from breviary.model.limit import Limit
from breviary.serve import choice, documents
from breviary.serve.desk import Job
from breviary.serve.schema import Answer, Event, Finished, Model, Offer, Piece, Progress, Sentence, Span
from breviary.summarise import asked, budget, hierarchy


@dataclass(frozen=True)
class Loaded:
    """The model in memory."""

    model: Model
    answerer: asked.Answerer


class Engine:
    """Answers jobs, one at a time."""

    def __init__(self, names: list[str], max_ms: int) -> None:
        self.choices = {name: choice.choose(name) for name in names}
        self.models = {name: Model(name=name, hash=choice.content(found)) for name, found in self.choices.items()}
        self.max_ms = max_ms  # of any request, whatever it asks for
        self._loaded: Loaded | None = None

    def offer(self, max_bytes: int) -> Offer:
        """What can be asked for."""
        profiles = config.read(stage.PARAMS).section("budget", budget.Options).profiles
        modes = [asked.DEFAULT, *(mode for mode in hierarchy.MODES if mode != asked.DEFAULT)]
        models = list(self.models.values())
        return Offer(models=models, profiles=[*profiles], modes=modes, formats=documents.formats(), max_bytes=max_bytes)

    def load(self, name: str) -> Loaded:
        """The model called `name`; another one is let go of first."""
        if self._loaded is None or self._loaded.model.name != name:
            self._loaded = None
            gc.collect()
            found = self.choices[name]
            answerer = asked.answerer(found.params, found.adapter, found.base)
            answerer.writer.prepare()  # now, not in the time of the first request that has a limit
            self._loaded = Loaded(self.models[name], answerer)
        return self._loaded

    def __call__(self, job: Job) -> Iterator[Event]:
        """Answer one job. Raises BreviaryError where it cannot be answered."""
        wanted = job.asked
        if not clean(wanted.text)[0].strip():
            raise DataError("text: there are no words in it to summarise")
        loaded = self.load(wanted.model or next(iter(self.models)))
        most = wanted.max_ms or loaded.answerer.writer.options.max_ms
        over = job.began + self.max_ms / 1000
        due = job.began + min(most, self.max_ms) / 1000 if most else math.inf
        inside = Limit(due, time.perf_counter, job.began, lambda: job.stop.is_set() or time.perf_counter() > over)
        request = asked.Request(wanted.mode, wanted.profile, wanted.max_tokens)
        telling = asked.Telling(loaded.answerer.answer(wanted.text, request, inside))
        for said in telling:
            yield Piece(text=said) if isinstance(said, str) else Progress(done=said.done, of=said.of)
        yield Finished(answer=_as_json(telling.answer, loaded.model))


def _as_json(answer: asked.Answer, model: Model) -> Answer:
    return Answer(
        summary=answer.text,
        sentences=[
            Sentence(text=each.text, spans=[Span(start=start, end=end) for start, end in each.spans])
            for each in answer.sentences
        ],
        tokens=answer.tokens,
        milliseconds=answer.ms,
        profile=answer.profile,
        mode=answer.mode,
        model=model.name,
        model_hash=model.hash,
        truncated=answer.truncated,
        cut=answer.cut,
    )
