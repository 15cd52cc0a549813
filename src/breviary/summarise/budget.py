"""How a summary is decoded within a budget of tokens and of milliseconds.

Profiles are named ways of decoding, the best first. A plan is made before any work: the best profile whose calls all
fit at full length; where none does, the one that leaves most tokens; where not even `min_tokens` can be written, an
error that says what would be needed.

    expected = sum over calls of  reading(prompts, tokens) + writing(prompts, tokens, new tokens)

`expected` counts every token that may be written, so that most summaries end earlier. A share of the time (`reserve`)
is kept back for what a machine does besides. Several calls (chunks of a long document, and what merges them) are
planned together: all are shortened alike, and each is told by when it must end to leave the others theirs. A call may
name its own profile, whatever the plan takes for the others.
`model/guard.py` then holds what was planned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field, model_validator

from breviary import config
from breviary.errors import BudgetError, ConfigError
from breviary.model.cost import Cost

ENDING_MS = 5.0  # decoding a summary and cutting it at a sentence; 1 to 3 measured


class Profile(config.Options):
    """One way of decoding, without drawing: the same text each time."""

    beams: int = Field(ge=1, le=64)  # 1: greedy
    length_penalty: float = Field(default=1.0, ge=-10, le=10)  # used with beams: above 0 favours long
    early_stopping: bool = False  # used with beams: end when as many summaries as beams have ended
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)  # 1: none
    no_repeat_ngram: int = Field(default=0, ge=0, le=64)  # tokens, within the summary alone; 0: none
    prompt_lookup: int = Field(default=0, ge=0, le=64)  # tokens guessed at a time from the prompt; 0: none

    @model_validator(mode="after")
    def _guesses_are_for_one_beam(self) -> "Profile":
        if self.prompt_lookup and self.beams > 1:
            raise ConfigError("prompt_lookup guesses for one beam; set beams: 1, or prompt_lookup: 0")
        return self


class Options(config.Options):
    """Section `budget`: how summaries are written on request (not those of `predict`, which tables compare)."""

    profiles: dict[str, Profile] = Field(min_length=1)  # the best first; the last writes what is summarised again
    profile: str  # the best that may be used unless a request says otherwise
    max_tokens: int = Field(ge=1)  # of a summary, unless a request says otherwise
    max_ms: int | None = Field(ge=1)  # for a summary, unless a request says otherwise; null: no limit
    min_tokens: int = Field(ge=1)  # rather than plan for fewer, refuse
    reserve: float = Field(ge=0, lt=1)  # share of the time that is not planned with
    batch_size: int = Field(ge=1, le=4096)  # chunks summarised together

    @model_validator(mode="after")
    def _the_profile_is_there(self) -> "Options":
        if self.profile not in self.profiles:
            raise ConfigError(f"profile '{self.profile}' is not among profiles: {', '.join(self.profiles)}")
        return self


def settings(profile: Profile, max_new_tokens: int) -> dict[str, Any]:
    """The profile in the words of `model/generate.py`."""
    always = {
        "max_new_tokens": max_new_tokens,
        "num_beams": profile.beams,
        "do_sample": False,
        "repetition_penalty": profile.repetition_penalty,
        "no_repeat_ngram": profile.no_repeat_ngram,
        "prompt_lookup": profile.prompt_lookup,
    }
    search = {"length_penalty": profile.length_penalty, "early_stopping": profile.early_stopping}
    return always | (search if profile.beams > 1 else {})


def allowed(options: Options, best: str | None = None) -> list[str]:
    """Names of the profiles from `best` (else the section's own) on: what a plan may choose from, the best first."""
    names, best = list(options.profiles), best or options.profile
    if best not in names:
        raise ConfigError(f"no profile '{best}'; there is: {', '.join(names)}")
    return names[names.index(best) :]


@dataclass(frozen=True)
class Call:
    """One run of the model: so many prompts together, the longest of so many tokens, and how much each may write."""

    prompts: int
    tokens: int
    new_tokens: int
    profile: str | None = None  # in which it is written; None: the plan's


@dataclass(frozen=True)
class Planned:
    """What one call is given."""

    profile: str
    max_new_tokens: int
    expected_ms: float
    until_ms: float | None  # after the request, by when it must have ended; None: no limit


@dataclass(frozen=True)
class Plan:
    """A profile, and a length and an end for every call."""

    profile: str  # of the summary
    calls: list[Planned]
    expected_ms: float  # of all calls, if every one writes all it may
    lowered: str  # what was given up for the time: better profiles, length; empty if nothing

    @property
    def max_new_tokens(self) -> int:
        """Of the last call, which writes the summary."""
        return self.calls[-1].max_new_tokens


def plan(
    cost: Cost,
    profiles: Sequence[str],
    calls: Sequence[Call],
    *,
    max_ms: float | int | None = None,
    spent_ms: float | int = 0,
    min_tokens: int = 1,
    reserve: float | int = 0,
) -> Plan:
    """The best of `profiles` (best first) for `calls`, of whose `max_ms` milliseconds `spent_ms` are gone.

    Raises BudgetError, with the least time that would do, where nothing fits.
    """
    if max_ms is None:
        return _planned(cost, profiles[0], calls, 1.0, min_tokens)
    left = max_ms * (1 - reserve) - spent_ms - ENDING_MS
    shares = {name: _share(cost, name, calls, left, min_tokens) for name in profiles}
    best = next((name for name in profiles if shares[name] >= 1), max(profiles, key=lambda name: shares[name]))
    made = _planned(cost, best, calls, min(shares[best], 1.0), min_tokens)
    if made.expected_ms > left:
        least = min(_planned(cost, name, calls, 0.0, min_tokens).expected_ms for name in profiles)
        needed = math.ceil((least + ENDING_MS + spent_ms) / (1 - reserve))
        raise BudgetError(
            f"{max_ms:.0f} ms are too few for {min_tokens} tokens of summary: about {needed} are needed "
            f"(profiles: {', '.join(profiles)}; {spent_ms:.0f} ms are gone); allow more time, or give it less text"
        )
    return replace(_with_ends(made, max_ms - ENDING_MS), lowered=_why(cost, profiles, calls, made))


def unhurried(profile: str, calls: Sequence[Call]) -> Plan:
    """The plan where there is no limit of time: `profile`, and every call at full length. Nothing is estimated."""
    made = [Planned(call.profile or profile, call.new_tokens, math.nan, None) for call in calls]
    return Plan(profile, made, math.nan, "")


def _with_ends(made: Plan, until: float) -> Plan:
    """Each call ends by when those after it still have the time that they are expected to take."""
    ends = []
    for call in reversed(made.calls):
        ends.append(replace(call, until_ms=until))
        until -= call.expected_ms
    return replace(made, calls=ends[::-1])


def _share(cost: Cost, profile: str, calls: Sequence[Call], left: float, min_tokens: int) -> float:
    """What share of every call's tokens there is time for, by halving: 1 is all, 0 may be more than fits."""
    if _planned(cost, profile, calls, 1.0, min_tokens).expected_ms <= left:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(12):  # to 1/4096, finer than a token
        middle = (low + high) / 2
        fits = _planned(cost, profile, calls, middle, min_tokens).expected_ms <= left
        low, high = (middle, high) if fits else (low, middle)
    return low


def _planned(cost: Cost, profile: str, calls: Sequence[Call], share: float, min_tokens: int) -> Plan:
    """The plan that gives each call this share of its tokens, `min_tokens` at least where it wants as many."""
    found = []
    for call in calls:
        name = call.profile or profile
        length = max(int(share * call.new_tokens), min(min_tokens, call.new_tokens), 1)
        reading = cost.reading(name, call.prompts, call.tokens)
        expected = reading + cost.writing(name, call.prompts, call.tokens, length)
        found.append(Planned(name, length, expected, None))
    return Plan(profile, found, sum(each.expected_ms for each in found), "")


def _why(cost: Cost, profiles: Sequence[str], calls: Sequence[Call], made: Plan) -> str:
    """What the plan gave up."""
    better = profiles[: profiles.index(made.profile)]
    reasons = [f"{name} needs {_planned(cost, name, calls, 1.0, 1).expected_ms:.0f} ms" for name in better]
    given, wanted = made.max_new_tokens, calls[-1].new_tokens
    return "; ".join([*reasons, *([f"{given} of {wanted} tokens"] if given < wanted else [])])
