import subprocess
import sys

ADDED = """
import sys
import jax, jax.numpy
before = set(sys.modules)
import gr2_jax.losses
print(*(set(sys.modules) - before))
"""


def test_importing_the_losses_adds_jaxtyping_to_jax_and_nothing_else():
    output = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True, check=True).stdout
    added = [name.split(".") for name in output.split()]
    packages = {name[0] for name in added} - sys.stdlib_module_names
    assert packages == {"gr2_jax", "jaxtyping", "numpy"}  # numpy.typing
    assert {name[1] for name in added if name[0] == "gr2_jax" and len(name) > 1} == {"losses", "errors"}
