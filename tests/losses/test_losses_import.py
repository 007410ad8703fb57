import subprocess
import sys


def test_importing_the_losses_loads_nothing_heavy():
    code = (
        "import sys, gr2_jax.losses\n"
        "heavy = {'flax', 'tensorflow', 'seqio', 'transformers', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)), [m for m in sys.modules if m.startswith('gr2_jax')])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.startswith("[] ")
    loaded = output.split("] ", 1)[1]
    assert "gr2_jax.losses.mgcc" in loaded
    assert not any(room in loaded for room in ("models", "training", "data", "docids", "corpus"))
