import operator
import os
from functools import partial

import pytest

from data_pipelines.workers import Crash, Workers


def test_a_process_that_dies_costs_its_own_item_alone():
    calls = [partial(abs, -i) for i in range(10)]
    calls.insert(3, partial(os._exit, 1))
    results = list(Workers(operator.call, 2).run(calls))
    crashed = [call for call, result in results if isinstance(result, Crash)]
    assert [call.func for call in crashed] == [os._exit]
    assert sorted(result for _, result in results if not isinstance(result, Crash)) == list(range(10))


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_is_raised(jobs):
    with pytest.raises(ZeroDivisionError):
        list(Workers(partial(divmod, 1), jobs).run(range(8)))
