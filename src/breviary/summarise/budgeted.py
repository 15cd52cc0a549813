"""One summary within its budget: plan, write under guard, end in a whole sentence, say what became of it."""

import json
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from breviary import artifacts, config
from breviary.data import prompts
from breviary.data.prompts import Generated, Prompt
from breviary.data.tokens import Tokenizer
from breviary.model import compute, depth, memory, resolve
from breviary.model.cost import Cost
from breviary.model.limit import Limit
from breviary.summarise import backbone, budget, ending

SECTIONS = (*backbone.SECTIONS, "budget")


@dataclass(frozen=True)
class Written:
    """A summary, what it cost, and what it was allowed."""

    text: str
    tokens: int  # of the text
    how: ending.How  # whole, or where it was cut (`ending.py`)
    flagged: bool  # it does not end in a whole sentence
    stopped: Literal["end", "tokens", "time", "cancelled"]  # what ended the writing
    written_tokens: int  # before it was cut
    profile: str
    lowered: str  # what the plan gave up for the time; empty if nothing
    max_tokens: int
    expected_ms: float | None  # None where there is no limit of time
    ms: float  # since the request


@dataclass(frozen=True)
class Writer:
    """A model that is loaded, with all that it takes to write within a budget."""

    model: Any
    tokenizer: Tokenizer
    options: budget.Options
    measure: Callable[[], Cost]  # asked once, and only where there is a limit of time: it may take some seconds
    seed: int

    @cached_property
    def cost(self) -> Cost:
        """What this model costs on this machine."""
        return self.measure()

    def prepare(self) -> None:
        """Measure the cost now, if it is not known: not within the limit of a request."""
        _ = self.cost

    def plan(self, prompt: Prompt, limit: Limit, profile: str | None, max_tokens: int | None) -> budget.Plan:
        """The plan for one prompt. Raises BudgetError where nothing fits, ConfigError for an unknown profile."""
        return self.plan_calls([budget.Call(1, len(prompt.ids), max_tokens or self.options.max_tokens)], limit, profile)

    def plan_calls(self, calls: Sequence[budget.Call], limit: Limit, profile: str | None) -> budget.Plan:
        """The plan for several calls, which share the limit. Raises as `plan` does."""
        profiles = budget.allowed(self.options, profile)
        if limit.ms is None:
            return budget.unhurried(profiles[0], calls)
        return budget.plan(
            self.cost,
            profiles,
            calls,
            max_ms=limit.ms,
            spent_ms=limit.spent_ms,
            min_tokens=self.options.min_tokens,
            reserve=self.options.reserve,
        )

    def write(
        self, prompt: Prompt, limit: Limit, *, profile: str | None = None, max_tokens: int | None = None
    ) -> Written:
        """The summary that follows `prompt`, in at most `max_tokens`, before `limit`; none means the section's own.

        Raises BudgetError where there is no time, or where not one word fits.
        """
        from breviary.model import generate, guard

        plan = self.plan(prompt, limit, profile, max_tokens)
        settings, inside = self.settings(plan.calls[-1], limit)
        watch = guard.Guard(inside)
        (made,) = generate.generate(self.model, self.tokenizer, [prompt], settings, self.seed, watch)
        return self._written(made, plan, limit, max_tokens)

    def stream(
        self, prompt: Prompt, limit: Limit, *, profile: str | None = None, max_tokens: int | None = None
    ) -> Generator[str, None, Written]:
        """Pieces of the text as it is written, before it is cut; returns what `write` returns, of which it may be more.

        Raises as `write` does, before the first piece.
        """
        from breviary.model import stream

        plan = self.plan(prompt, limit, profile, max_tokens)
        settings, inside = self.settings(plan.calls[-1], limit)
        pieces = stream.stream(self.model, self.tokenizer, prompt, settings, inside, self.seed)
        return self._streamed(pieces, plan, limit, max_tokens)

    def _streamed(
        self, pieces: Generator[str, None, Generated], plan: budget.Plan, limit: Limit, max_tokens: int | None
    ) -> Generator[str, None, Written]:
        made = yield from pieces
        return self._written(made, plan, limit, max_tokens)

    def settings(self, call: budget.Planned, limit: Limit) -> tuple[dict[str, Any], Limit]:
        """The settings of a planned call, and the part of the limit that it may take."""
        chosen = budget.settings(self.options.profiles[call.profile], call.max_new_tokens)
        return chosen, limit if call.until_ms is None else limit.within(call.until_ms)

    def _written(self, made: Generated, plan: budget.Plan, limit: Limit, max_tokens: int | None) -> Written:
        allowed = max_tokens or self.options.max_tokens
        ended = ending.fit(made.text, allowed, self.tokenizer.count, finished=made.finished)
        return Written(
            text=ended.text,
            tokens=ended.tokens,
            how=ended.how,
            flagged=ended.flagged,
            stopped=_stopped(made, plan, limit),
            written_tokens=made.tokens,
            profile=plan.profile,
            lowered=plan.lowered,
            max_tokens=allowed,
            expected_ms=None if math.isnan(plan.expected_ms) else plan.expected_ms,
            ms=limit.spent_ms,
        )


def _stopped(made: Generated, plan: budget.Plan, limit: Limit) -> Literal["end", "tokens", "time", "cancelled"]:
    if made.finished:
        return "end"
    if made.tokens >= plan.max_new_tokens:
        return "tokens"
    return "cancelled" if limit.cancelled() else "time"


def loaded(params: config.Params, adapter: Path | None, base: Path = backbone.BASE, best: str | None = None) -> Any:
    """The backbone whose record is at `base`, with `adapter` if there is one, ready for requests of any profile from
    `best` on; without `best`, of any profile at all.

    Raises ResourceError before anything is loaded where memory will not do, ConfigError for an unknown profile.
    """
    options = params.section("budget", budget.Options)
    asked = budget.allowed(options, best) if best else list(options.profiles)
    needed = memory.for_requests(
        backbone.shape(base),
        params.section("compute", compute.Options),
        params.section("prompt", prompts.Options),
        options,
        asked,
    )
    return backbone.load(params, adapter, "summarising on request", needed, base, merged=True)


def writer(
    params: config.Params, model: Any, tokenizer: Tokenizer, adapter: Path | None, base: Path = backbone.BASE
) -> Writer:
    """The writer for the model of the record `base`, which is loaded with `adapter`."""
    options = params.section("budget", budget.Options)
    seed = params.section("runtime", config.Runtime).seed
    return Writer(model, tokenizer, options, partial(measured, params, model, tokenizer, adapter, base), seed)


def _sizes(adapter: Path | None) -> list[Path]:
    """The files that say how much work an adapter is: its shape and the layers it leaves out, not its weights."""
    return [adapter / "adapter_config.json", adapter / depth.FILE] if adapter else []


def measured(
    params: config.Params, model: Any, tokenizer: Tokenizer, adapter: Path | None, base: Path = backbone.BASE
) -> Cost:
    """What the model costs on this machine, from the model cache or measured now."""
    from breviary.model import calibrate

    options = params.section("budget", budget.Options)
    prompting = params.section("prompt", prompts.Options)
    profiles = {name: budget.settings(profile, 1) for name, profile in sorted(options.profiles.items())}
    key = [
        resolve.identity(base),
        *(artifacts.sha256(file) if file.is_file() else "" for file in _sizes(adapter)),
        params.section("compute", compute.Options).model_dump_json(),
        str(params.section("runtime", config.Runtime).threads),
        json.dumps(profiles, sort_keys=True),
        str((options.batch_size, prompting.max_tokens)),
    ]
    return calibrate.remembered(
        key,
        lambda: calibrate.measure(
            model, tokenizer, profiles, batch=options.batch_size, max_tokens=prompting.max_tokens
        ),
    )
