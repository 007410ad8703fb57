"""Two processes, each with its part of the data, make one batch."""

import numpy as np
import pytest
from hosts_batch import STEP, batches
from two_hosts import printed_by_two


@pytest.mark.multiprocess
def test_two_hosts_bring_the_two_halves_of_one_host_s_batch():
    seen = printed_by_two("hosts_batch.py", {"JAX_PLATFORMS": "cpu"})
    for name, value in batches()(STEP).items():
        halves = [host["own"][name] for host in seen]
        assert halves[0] != halves[1] or name in ("grades", "judged_grades")
        np.testing.assert_array_equal(np.concatenate(halves), value)
        for host in seen:
            np.testing.assert_array_equal(host["whole"][name], value)
