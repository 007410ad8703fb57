"""What a part costs is what it took and left."""

import time

import numpy as np
import pytest

from gr2_jax.planning.measuring import measured

MIB = 2**20


def test_figures_are_of_the_block_alone(tmp_path):
    (tmp_path / "before").write_bytes(bytes(1000))
    found = []
    with measured(tmp_path, found.append, passing=tmp_path / "pieces"):
        block = np.ones(64 * MIB, np.uint8)
        time.sleep(0.25)
        del block
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "left").write_bytes(bytes(3000))
        (tmp_path / "pieces").mkdir()
        (tmp_path / "pieces" / "joined").write_bytes(bytes(500))
    (figures,) = found
    assert figures["disk_bytes"] == 3000
    assert 60 * MIB < figures["memory_bytes"] < 200 * MIB
    assert figures["process_bytes"] > figures["memory_bytes"]
    assert figures["seconds"] >= 0.25
    assert 0 <= figures["cpu_seconds"] < figures["seconds"]
    assert abs(figures["began"] + figures["seconds"] - time.time()) < 60


def test_a_block_that_fails_has_no_figures(tmp_path):
    found = []
    with pytest.raises(ValueError, match="half"), measured(tmp_path, found.append, passing=tmp_path / "pieces"):
        raise ValueError("half")
    assert not found
