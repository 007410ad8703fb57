"""The folder of compiled programs: where it is, what turns it off, and that another process loads what one compiled."""

import os
import subprocess
import sys

import pytest

from gr2_jax.compilation_cache import keep_compiled_programs

PROGRAM = """
import jax
from gr2_jax.compilation_cache import keep_compiled_programs

{first}
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
jax.jit(lambda x: x @ x + 1)(jax.numpy.ones((8, 8))).block_until_ready()
print(sum(event.endswith("cache_hits") for event in events), sum(event.endswith("cache_misses") for event in events))
"""
BEFORE_JAX = PROGRAM.replace("import jax\n", "", 1).format(first="keep_compiled_programs()\nimport jax")
AFTER_JAX = PROGRAM.format(first="keep_compiled_programs()")


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Without the tests' own cache, and as if JAX were not loaded yet."""
    for name in [name for name in os.environ if name.startswith(("JAX_COMPILATION_CACHE", "JAX_PERSISTENT", "GR2_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "jax")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = dict(os.environ)
    yield monkeypatch
    for name in set(os.environ) - set(before):
        del os.environ[name]


def test_it_is_in_the_user_s_cache_by_default(alone, tmp_path):
    folder = keep_compiled_programs()
    assert folder.parent == tmp_path / "cache/gr2_jax/compiled"
    assert folder.is_dir()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)


def test_a_variable_names_another_folder_or_none(alone, tmp_path):
    alone.setenv("GR2_COMPILATION_CACHE", "OFF")
    assert keep_compiled_programs() is None
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    alone.setenv("GR2_COMPILATION_CACHE", str(tmp_path / "other"))
    assert keep_compiled_programs().parent == tmp_path / "other"


def test_a_cache_that_is_set_is_left_alone(alone):
    alone.setenv("JAX_COMPILATION_CACHE_DIR", "/mine")
    assert keep_compiled_programs() is None
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/mine"


def test_where_no_folder_can_be_made_nothing_is_kept(alone, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert keep_compiled_programs() is None


@pytest.mark.parametrize("program", [BEFORE_JAX, AFTER_JAX], ids=["before JAX", "after JAX"])
def test_another_process_loads_what_one_compiled(alone, tmp_path, program):
    alone.setenv("GR2_COMPILATION_CACHE", str(tmp_path / "kept"))
    program = program.replace("keep_compiled_programs()\n", "keep_compiled_programs()\n" + _KEEP_ALL, 1)
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    counts = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        counts.append(list(map(int, done.stdout.split())))
    (hits, misses), (later_hits, later_misses) = counts
    assert hits == 0
    assert misses >= 1
    assert (later_hits, later_misses) == (misses, 0)


_KEEP_ALL = """import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
"""
