import subprocess
import sys

LOADED = """
import sys
import jax, jax.numpy
before = set(sys.modules)
import gr2_jax.losses
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""


def test_importing_the_losses_adds_jaxtyping_to_jax_and_nothing_else():
    output = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout
    assert set(output.split()) - sys.stdlib_module_names == {"gr2_jax", "jaxtyping", "numpy"}  # numpy.typing


def test_importing_the_losses_loads_no_other_room():
    code = "import sys, gr2_jax.losses; print(*(m for m in sys.modules if m.startswith('gr2_jax.')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {name.split(".")[1] for name in output.split()} == {"losses", "errors"}
