"""Each reader under atheris, with a fixed number of inputs from a fixed seed; `readers.py` runs as many as one asks."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris")
INPUTS, SECONDS = 20_000, 60  # whichever comes first: Orbax reads seventy checkpoints a second


@pytest.mark.fuzz
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path):
    limits = [f"-runs={INPUTS}", f"-max_total_time={SECONDS}", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    command = [sys.executable, str(Path(__file__).parent / "readers.py"), *limits]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert done.stdout.count(": Done ") > 30
