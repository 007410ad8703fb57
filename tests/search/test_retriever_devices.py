"""Queries shared by eight devices: the same bytes as from one."""

import subprocess
import sys

import numpy as np
import pytest
import search_on_devices
import virtual_devices
from search_on_devices import DIVIDED, FIELDS, JOINT, QUERIES, SEARCHES, SHARDED, K


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The results of one device and of eight."""
    folder = tmp_path_factory.mktemp("searched")
    files = {devices: folder / f"{devices}.npz" for devices in (1, 8)}
    processes = [
        subprocess.Popen(
            [sys.executable, search_on_devices.__file__, str(file)],
            env=virtual_devices.environment(devices),
        )
        for devices, file in files.items()
    ]
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    found = {devices: dict(np.load(file)) for devices, file in files.items()}
    assert [seen["devices"] for seen in found.values()] == [1, 8]
    return found[1], found[8]


@pytest.mark.parametrize("name", [*SEARCHES, *JOINT, *SHARDED])
def test_eight_devices_give_the_bytes_of_one(searched, name):
    for field in FIELDS:
        one, eight = (seen[f"{name}/{field}"] for seen in searched)
        assert len(one) == QUERIES
        assert one.tobytes() == eight.tobytes()


@pytest.mark.parametrize("name", JOINT)
def test_a_table_that_is_divided_over_eight_devices_gives_the_bytes_of_a_whole_one(searched, name):
    one, eight = searched
    for field in (*FIELDS, "log_likelihoods", "similarities"):
        assert eight[f"{name}, sharded/{field}"].tobytes() == one[f"{name}/{field}"].tobytes(), field


@pytest.mark.parametrize("name", DIVIDED)
def test_a_trie_and_a_model_that_are_divided_over_eight_devices_give_the_bytes_of_whole_ones(searched, name):
    (one, eight), (whole, _) = searched, DIVIDED[name]
    for field in FIELDS:
        assert eight[f"{name}/{field}"].tobytes() == one[f"{whole}/{field}"].tobytes(), field


def test_scanned_layers_in_bfloat16_and_what_is_read_beside_a_search_are_the_same_bytes_divided(searched):
    one, eight = searched
    fields = [key.removeprefix("scanned/") for key in one if key.startswith("scanned/")]
    assert {"rows", "docid vectors", "query vectors", "tokens"} <= set(fields)
    for field in fields:
        assert eight[f"scanned, all sharded/{field}"].tobytes() == one[f"scanned/{field}"].tobytes(), field


def test_chosen_documents_are_found_alike_on_one_device_on_eight_and_in_a_divided_table(searched):
    one, eight = searched
    for field in (*FIELDS, "log_likelihoods", "similarities"):
        whole = one[f"some/{field}"].tobytes()
        for name in ("some", "some, sharded", "some, all sharded"):
            assert eight[f"{name}/{field}"].tobytes() == whole, (name, field)
    assert set(one["some/rows"].ravel() % 3) == {0}


def test_the_searches_differ_as_they_should(searched):
    """So that equal bytes cover every kind: some lists are proven at once, others after widening."""
    one, _ = searched
    proven = {name: one[f"{name}/scores"][:, -1] >= one[f"{name}/pruned_bound"] for name in SEARCHES}
    assert 0 < proven["beams"].sum() < proven["adaptive"].sum()
    assert proven["adaptive, then all"].all()
    assert proven["exhaustive"].all()
    for name in SEARCHES:
        rows = one[f"{name}/rows"]
        assert rows.shape == (QUERIES, K)
        np.testing.assert_array_equal(rows[proven[name]], one["exhaustive/rows"][proven[name]])


def test_few_queries_are_a_small_call_and_differ_by_rounding_at_most(searched):
    for seen in searched:
        np.testing.assert_array_equal(seen["few/rows"], seen["beams/rows"][:3])
        np.testing.assert_allclose(seen["few/scores"], seen["beams/scores"][:3], rtol=1e-5)


def test_joint_lists_are_proven_by_widening_and_equal_the_exhaustive_ones(searched):
    one, _ = searched
    proven = {name: one[f"{name}/scores"][:, -1] >= one[f"{name}/pruned_bound"] for name in JOINT}
    assert proven["joint"].sum() < proven["joint, adaptive"].sum()
    for name in JOINT:
        rows, smoothed = one[f"{name}/rows"], ", smoothed" if "smoothed" in name else ""
        np.testing.assert_array_equal(rows[proven[name]], one[f"joint{smoothed}, exhaustive/rows"][proven[name]])
