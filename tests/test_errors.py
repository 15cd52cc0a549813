"""Expected errors have one root, and are what they would be without this package, too."""

import pytest

from breviary import errors


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.DataError, ValueError),
        (errors.ArtifactError, OSError),
        (errors.ModelError, RuntimeError),
        (errors.TrainingError, RuntimeError),
        (errors.ResourceError, MemoryError),
        (errors.RegistryError, RuntimeError),
    ],
)
def test_each_has_the_root_and_a_builtin_kind_and_prints_its_message_alone(
    kind: type[errors.BreviaryError], builtin: type[Exception]
) -> None:
    error = kind("params.yaml:3: what is wrong")
    assert isinstance(error, errors.BreviaryError)
    assert isinstance(error, builtin)
    assert str(error) == "params.yaml:3: what is wrong"


def test_ten_problems_are_listed_and_the_others_counted() -> None:
    problems = [f"a:{line}: broken" for line in range(1, 13)]
    assert errors.listed(problems) == "\n".join([*problems[:10], "... and 2 more"])
    assert errors.listed(problems[:2], "mend them") == "a:1: broken\na:2: broken\nmend them"
