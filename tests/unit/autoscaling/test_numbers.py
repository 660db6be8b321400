from __future__ import annotations

import pytest

from pipeline.objects import SObject
from tests.autoscaling import numbers
from tests.deployment.check import found


@pytest.mark.skipif(found("helm") is None, reason="helm is not installed")
def test_the_scaled_object_has_the_numbers_of_the_charts_values() -> None:
    assert numbers.rendered(SObject.LEAD) == numbers.from_values()
