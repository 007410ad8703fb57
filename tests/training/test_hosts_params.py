"""Parameters that two processes hold together, for a search that each of them makes alone."""

import jax
import pytest
import virtual_devices
from two_hosts import printed_by_two


@pytest.mark.multiprocess
def test_each_of_two_hosts_gets_all_parameters_divided_over_its_own_devices():
    # programs that one process keeps do not fit those that the other compiles
    alone = virtual_devices.environment(2) | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    seen = printed_by_two("hosts_params.py", alone)
    assert len(set(map(str, (host["devices"] for host in seen)))) == 2
    for host in seen:
        assert len(host["devices"]) == 2
        assert host["largest part"] == 8 * 12 // 2
        assert all(jax.tree.leaves(host["equal"]))
