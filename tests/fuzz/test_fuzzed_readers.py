"""Each reader under atheris, with a fixed number of inputs from a fixed seed; `readers.py` runs as many as one asks."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris")
READERS = Path(__file__).parent / "readers.py"
INPUTS, SECONDS = 20_000, 60  # whichever comes first: Orbax reads seventy checkpoints a second


def start(*words):
    return subprocess.run([sys.executable, str(READERS), *words], capture_output=True, check=False)


@pytest.mark.fuzz
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path):
    kinds, failed = start().stdout.decode().splitlines(), {}
    assert len(kinds) > 30
    for kind in kinds:
        done = start(kind, f"-runs={INPUTS}", f"-max_total_time={SECONDS}", "-seed=1", f"-artifact_prefix={tmp_path}/")
        said = done.stderr.decode("utf-8", "replace")
        print(kind, [line for line in said.splitlines() if line.startswith("Done")])
        if done.returncode != 0 or "Done " not in said:
            failed[kind] = said[-3000:]
    assert not failed, (failed, {path.name: path.read_bytes() for path in tmp_path.iterdir()})
