"""Whatever a client sends, made up from the service's own description, it gets an answer that the description knows."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance  # a form whose file is no document is refused

pytestmark = pytest.mark.slow
OPERATIONS = ["POST /summarise", "GET /models", "GET /health"]
EXAMPLES = 80


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_gets_an_answer_that_is_not_described(made, name):
    described = schemathesis.openapi.from_asgi("/openapi.json", made(waiting=64))
    operation = next(each.ok() for each in described.get_all_operations() if each.ok().label == name)

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case):
        case.call_and_validate(headers={"Host": "127.0.0.1"}, excluded_checks=[positive_data_acceptance])

    ask()


def test_every_operation_is_tried(made):
    described = schemathesis.openapi.from_asgi("/openapi.json", made())
    assert sorted(each.ok().label for each in described.get_all_operations()) == sorted(OPERATIONS)
