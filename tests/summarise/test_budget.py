"""The best profile that fits, the most tokens where none fits whole, and an error where nothing does."""

import pytest
from hypothesis import given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary.errors import BudgetError, ConfigError
from breviary.model.cost import Cost, Pace
from breviary.summarise.budget import ENDING_MS, Call, Options, Profile, allowed, plan, settings

PROFILES = {
    "quality": {"beams": 4, "length_penalty": 1.1, "early_stopping": True, "no_repeat_ngram": 3},
    "fast": {"beams": 2, "length_penalty": 0.9, "no_repeat_ngram": 3},
    "greedy": {"beams": 1, "no_repeat_ngram": 3, "prompt_lookup": 8},
}
VALUES = {
    "profiles": PROFILES,
    "profile": "quality",
    "max_tokens": 100,
    "max_ms": None,
    "min_tokens": 10,
    "reserve": 0.1,
    "batch_size": 8,
}
NAMES = list(PROFILES)
# 1 ms a token of prompt and beam; 10 ms a token of summary and beam, twice that for eight prompts together
COST = Cost(
    {100: 100.0, 200: 200.0},
    0.0,
    {name: Pace(beams, {1: 10.0 * beams, 8: 20.0 * beams}) for name, beams in zip(NAMES, (4, 2, 1), strict=True)},
)
ONE = [Call(1, 100, 101)]  # greedy: 100 + 1000 ms, fast twice, quality four times that
MANY = [Call(8, 100, 101), Call(1, 200, 201)]  # greedy: 800 + 2000 + 200 + 2000


def test_without_a_time_the_best_profile_writes_all() -> None:
    made = plan(COST, NAMES, ONE)
    assert (made.profile, made.max_new_tokens, made.lowered) == ("quality", 101, "")
    assert (made.expected_ms, made.calls[0].until_ms) == (4400, None)


@pytest.mark.parametrize(
    ("ms", "profile", "tokens", "lowered"),
    [
        (4405, "quality", 101, ""),
        (4400, "fast", 101, "quality needs 4400 ms"),
        (2205, "fast", 101, "quality needs 4400 ms"),
        (2204, "greedy", 101, "quality needs 4400 ms; fast needs 2200 ms"),
        (606, "greedy", 51, "quality needs 4400 ms; fast needs 2200 ms; 51 of 101 tokens"),
    ],
)
def test_the_best_profile_that_fits_is_taken(ms: int, profile: str, tokens: int, lowered: str) -> None:
    made = plan(COST, NAMES, ONE, max_ms=ms)
    assert (made.profile, made.lowered) == (profile, lowered)
    assert made.max_new_tokens == tokens
    assert made.expected_ms + ENDING_MS <= ms
    assert made.calls[-1].until_ms == ms - ENDING_MS


def test_time_that_is_gone_and_time_kept_back_are_not_planned_with() -> None:
    assert plan(COST, NAMES, ONE, max_ms=4405 + 600, spent_ms=600).profile == "quality"
    assert plan(COST, NAMES, ONE, max_ms=4405 + 600, spent_ms=601).profile == "fast"
    assert plan(COST, NAMES, ONE, max_ms=8810, reserve=0.5).profile == "quality"
    assert plan(COST, NAMES, ONE, max_ms=8808, reserve=0.5).profile == "fast"


@pytest.mark.parametrize("ms", [0, 1, 194])
def test_too_little_time_is_refused_with_what_would_do(ms: int) -> None:
    message = (
        rf"^{ms} ms are too few for 10 tokens of summary: about 195 are needed \(profiles: quality, fast, greedy; "
    )
    with pytest.raises(BudgetError, match=message):
        plan(COST, NAMES, ONE, max_ms=ms, min_tokens=10)
    assert plan(COST, NAMES, ONE, max_ms=195, min_tokens=10).max_new_tokens == 10


def test_the_time_that_an_error_names_is_enough() -> None:
    with pytest.raises(BudgetError, match="about 270 are needed") as refused:
        plan(COST, NAMES, ONE, max_ms=1, spent_ms=20.5, min_tokens=10, reserve=0.2)
    assert "20 ms are gone" in str(refused.value)
    assert plan(COST, NAMES, ONE, max_ms=270, spent_ms=20.5, min_tokens=10, reserve=0.2).max_new_tokens == 10


def test_all_calls_of_a_long_document_are_planned_together() -> None:
    made = plan(COST, ["greedy"], MANY, max_ms=5005)
    assert [call.expected_ms for call in made.calls] == [2800, 2200]
    assert [call.until_ms for call in made.calls] == [2800, 5000]  # what the last needs is left to it
    loose = plan(COST, ["greedy"], MANY, max_ms=6005)
    assert [call.until_ms for call in loose.calls] == [3800, 6000]
    short = plan(COST, ["greedy"], MANY, max_ms=3005)
    first, last = (call.max_new_tokens for call in short.calls)
    assert first / 101 == pytest.approx(last / 201, abs=0.02) and short.expected_ms == pytest.approx(3000, abs=31)
    assert short.lowered == f"{last} of 201 tokens"


@chosen(deadline=None)
@given(
    st.lists(st.builds(Call, st.integers(1, 12), st.integers(1, 400), st.integers(1, 300)), min_size=1, max_size=5),
    st.integers(1, 60_000),
    st.integers(1, 30),
    st.floats(0, 0.5),
)
def test_a_plan_fits_or_is_refused(calls: list[Call], ms: int, least: int, reserve: float) -> None:
    try:
        made = plan(COST, NAMES, calls, max_ms=ms, min_tokens=least, reserve=reserve)
    except BudgetError:
        for name in NAMES:
            shortest = [Call(each.prompts, each.tokens, min(least, each.new_tokens)) for each in calls]
            assert plan(COST, [name], shortest).expected_ms + ENDING_MS > ms * (1 - reserve)
        return
    assert made.expected_ms + ENDING_MS <= ms * (1 - reserve) + 1e-6
    for call, given_ in zip(calls, made.calls, strict=True):
        assert min(least, call.new_tokens) <= given_.max_new_tokens <= call.new_tokens
    ends = [call.until_ms or 0 for call in made.calls]
    assert ends == sorted(ends) and ends[-1] == ms - ENDING_MS
    more = plan(COST, NAMES, calls, max_ms=2 * ms, min_tokens=least, reserve=reserve)
    assert NAMES.index(more.profile) <= NAMES.index(made.profile)


def test_a_profile_says_how_to_generate() -> None:
    options = Options.model_validate(VALUES)
    assert settings(options.profiles["quality"], 7) == {
        "max_new_tokens": 7,
        "num_beams": 4,
        "do_sample": False,
        "repetition_penalty": 1.0,
        "no_repeat_ngram": 3,
        "prompt_lookup": 0,
        "length_penalty": 1.1,
        "early_stopping": True,
    }
    assert "length_penalty" not in settings(options.profiles["greedy"], 7)  # transformers warns where it does nothing


def test_a_request_may_lower_or_raise_the_best_profile() -> None:
    options = Options.model_validate(VALUES | {"profile": "fast"})
    assert (allowed(options), allowed(options, "greedy"), allowed(options, "quality")) == (NAMES[1:], NAMES[2:], NAMES)
    with pytest.raises(ConfigError, match="no profile 'best'; there is: quality, fast, greedy"):
        allowed(options, "best")


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="profile 'best' is not among profiles: quality, fast, greedy"):
        Options.model_validate(VALUES | {"profile": "best"})
    with pytest.raises(ValidationError, match="prompt_lookup guesses for one beam; set beams: 1, or prompt_lookup: 0"):
        Profile(beams=2, prompt_lookup=5)
    with pytest.raises(ValidationError, match="at least 1 item"):
        Options.model_validate(VALUES | {"profiles": {}})
