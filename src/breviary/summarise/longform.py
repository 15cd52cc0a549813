"""A document of any length, or many of them, summarised by one model.

All documents move through their levels together: what they ask for in one round is put into common batches, longest
prompt first, so that a model is as busy with the last few passages of many documents as with the first of one. Each
round is a file in the scratch folder, written batch by batch; a killed run takes up where it stopped. The folder is
bound to the texts, the settings and the model (`identity`) by its name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from breviary.data.prompts import Generated, Prompt, Prompter
from breviary.data.sentences import Span
from breviary.errors import ModelError
from breviary.records import Document, Prediction, content_hash
from breviary.summarise import answers, hierarchy, predictions, retrieval
from breviary.summarise.hierarchy import Mode
from breviary.summarise.levels import Asking, Summary

ENCODER = Path("models/encoder.json")


def index(options: hierarchy.Options, encoder: Path = ENCODER) -> retrieval.Index:
    """The similarity that `options` name. Only `dense` loads a model, that of the record `encoder`."""
    if options.similarity == "tfidf":
        return retrieval.tfidf
    from breviary.model import encoder as encoders
    from breviary.model import resolve

    return retrieval.dense(encoders.load(resolve.folder(encoder)).encode)


@dataclass(frozen=True)
class Summariser:
    """A model, its prompts, and what to do with long documents. Nothing here loads anything."""

    prompter: Prompter
    generate: predictions.Generate
    options: hierarchy.Options
    batch_size: int  # prompts
    similar: retrieval.Index = retrieval.tfidf  # between sentences or passages
    identity: str = ""  # of model, adapter and decoding: other ones never take over each other's scratch

    @cached_property
    def cues(self) -> re.Pattern[str]:
        """What finds the template in an answer."""
        return answers.cues(self.prompter)

    def offsets(self, text: str) -> list[Span]:
        """The characters that each token of `text` covers, read as the prompt reads it."""
        if not text or text.isspace():
            return []
        shift = len(self.prompter.opening)
        found = self.prompter.tokenizer.offsets(self.prompter.opening + text)
        return [(max(0, start - shift), max(0, end - shift)) for start, end in found]

    def summarise(self, text: str, *, mode: Mode | None = None, scratch: Path | None = None) -> Summary:
        """The summary of one text; `mode` is that of the options unless named.

        Raises DataError where there is no token to summarise, ModelError where levels do not get shorter.
        """
        return self.summarise_all({"text": text}, mode=mode, scratch=scratch)["text"]

    def summarise_all(
        self, texts: Mapping[str, str], *, mode: Mode | None = None, scratch: Path | None = None
    ) -> dict[str, Summary]:
        """The summary of each text, by name. Raises as `summarise` does."""
        chosen = self.options.model_copy(update={"mode": mode}) if mode else self.options
        begun = {name: self._begin(texts[name], chosen) for name in sorted(texts)}
        folder = scratch / self._key(texts, chosen) if scratch else None
        return self._drive(begun, folder, is_cut=chosen.mode == "truncate")

    def _begin(self, text: str, options: hierarchy.Options) -> Asking:
        return hierarchy.begin(text, options, room=self.prompter.room, offsets=self.offsets, similar=self.similar)

    def _key(self, texts: Mapping[str, str], options: hierarchy.Options) -> str:
        named = [part for name in sorted(texts) for part in (name, texts[name])]
        return content_hash(self.identity, options.model_dump_json(), str(self.batch_size), *named)

    def _drive(self, begun: Mapping[str, Asking], folder: Path | None, *, is_cut: bool) -> dict[str, Summary]:
        """Round after round, until every document has its summary."""
        done: dict[str, Summary] = {}
        waiting = {name: next(asking).texts for name, asking in begun.items()}
        level = 0
        while waiting:
            prompts = {f"{name} {place:06}": each for name in waiting for place, each in enumerate(waiting[name])}
            asked = {name: self._prompt(text, is_cut=is_cut) for name, text in prompts.items()}
            file = folder / f"level-{level:04}.jsonl" if folder else None
            made = predictions.predict(
                asked, self.generate, file, batch_size=self.batch_size, what=f"level {level + 1}", unit="passages"
            )
            waiting, before = {}, waiting
            for name, texts in before.items():
                answered = [made[f"{name} {place:06}"] for place in range(len(texts))]
                try:
                    waiting[name] = begun[name].send([self.read(answer) for answer in answered]).texts
                except StopIteration as finished:
                    done[name] = replace(finished.value, finished=answered[-1].finished)
            level += 1
        return {name: done[name] for name in begun}

    def _prompt(self, text: str, *, is_cut: bool) -> Prompt:
        prompt = self.prompter.prompt(text)
        if prompt.truncated and not is_cut:
            raise ModelError(f"a passage of {len(text)} characters exceeds its room of {self.prompter.room} tokens")
        return prompt

    def read(self, answer: Generated) -> str:
        """What an answer says, without what belongs to the prompt."""
        return answers.read(answer.text, self.cues, finished=answer.finished)


def predict(model: str, documents: list[Document], summariser: Summariser, scratch: Path) -> list[Prediction]:
    """The predictions of `model`, by document id. What fits a prompt is summarised in one call, as ever; so is
    everything in the mode `truncate`, and the beginning of a document then stands for it."""
    prompts = {document.id: summariser.prompter.prompt(document.text) for document in documents}
    is_flat = summariser.options.mode == "truncate"
    flat = [each for each in documents if is_flat or not prompts[each.id].truncated]
    asked = {each.id: prompts[each.id] for each in flat}
    written = predictions.predict(
        asked, summariser.generate, scratch / "batches.jsonl", batch_size=summariser.batch_size
    )
    made = predictions.records(model, flat, asked, written)
    long = {each.id: each for each in documents if each.id not in asked}
    summaries = summariser.summarise_all({name: each.text for name, each in long.items()}, scratch=scratch)
    frame = len(summariser.prompter.prefix) + len(summariser.prompter.suffix)
    made += [
        Prediction(
            document=name,
            domain=long[name].domain,
            model=model,
            summary=each.text,
            prompt_tokens=each.read + each.calls * frame,
            summary_tokens=each.tokens,
            finished=each.finished,
            truncated=each.truncated,
        )
        for name, each in summaries.items()
    ]
    return sorted(made, key=lambda each: each.document)
