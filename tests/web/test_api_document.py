"""The API keeps its own document: whatever is sent, the answer is one the document names, and never a 5xx."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.test_access import OPEN, PEOPLE
from tests.web.world import World

DOCUMENT = "/api/v1/openapi.json"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = {GenerationMode.POSITIVE: 7, GenerationMode.NEGATIVE: 5}
"""Attempts for each route, with what fits its schema and with what does not."""
TAKES_NOTHING = ("/api/v1/health",)
"""Nothing about these requests can be wrong."""
WHO = ("supervisor", "hill_manager", *PEOPLE)


@pytest.mark.timeout(180)
def test_whatever_is_sent_the_answer_is_a_documented_one(world: World) -> None:
    schema = schemathesis.openapi.from_wsgi(DOCUMENT, world.app)
    operations: list[Any] = list(schema.get_all_operations())
    for found in operations:
        operation = found.ok()
        _try(world, operation, GenerationMode.POSITIVE)
        if operation.path not in TAKES_NOTHING:
            _try(world, operation, GenerationMode.NEGATIVE)


def _try(world: World, operation: Any, mode: GenerationMode) -> None:
    known = {
        "call_id": [world.hill.live_call.id, world.hill.ended_call.id, world.lake.live_call.id],
        "recording_id": [world.hill.recording.id, world.lake.recording.id],
        "booking_id": [world.hill.booking.id, world.lake.booking.id],
        "user_id": [world.cast.rosie.user_id, world.cast.robin.user_id],
    }

    @hypothesis_settings(
        max_examples=EXAMPLES[mode],
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), who=st.sampled_from(WHO), pick=st.integers(0, 3))
    def attempt(case: Any, who: str, pick: int) -> None:
        for name, ids in known.items():
            if case.path_parameters and name in case.path_parameters and pick < len(ids):
                case.path_parameters[name] = ids[pick]
        case.headers["Authorization"] = f"Bearer {world.keys[who]}"
        case.call_and_validate(checks=CHECKS)

    attempt()


def test_the_document_describes_every_route_of_the_api(small_world: World) -> None:
    document = small_world.get(None, "/openapi.json").json
    documented = {path.replace("{", "<opaque:").replace("}", ">") for path in document["paths"]}
    routes = {rule.rule for rule in small_world.app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    assert documented == routes - OPEN


def test_the_document_explains_each_route_and_its_refusals(small_world: World) -> None:
    document = small_world.get(None, "/openapi.json").json
    assert document["openapi"] == "3.1.0"
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["operationId"] for operation in operations)
    assert all({"401", "403", "404", "422", "500"} <= set(operation["responses"]) for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_no_input_takes_a_field_that_it_does_not_know(small_world: World) -> None:
    schemas = small_world.get(None, "/openapi.json").json["components"]["schemas"]
    inputs = [schema for name, schema in schemas.items() if name.endswith(("Input", "Search", "Change"))]
    assert len(inputs) >= 9
    assert all(schema["additionalProperties"] is False for schema in inputs)
