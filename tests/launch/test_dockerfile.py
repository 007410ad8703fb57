"""launch/Dockerfile, without Docker: what it copies exists, and each device installs extras that there are."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps():
    """(instruction, the rest) of each step, without comments, lines joined as Docker joins them."""
    text = (ROOT / "launch" / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in lines.splitlines() if line.strip()]


def of(instruction):
    return [rest for name, rest in steps() if name == instruction]


def test_every_instruction_is_docker_s():
    assert {name for name, _ in steps()} == {"FROM", "ARG", "COPY", "RUN", "USER", "WORKDIR", "ENTRYPOINT"}
    assert steps()[0][0] == "FROM"


def test_what_is_copied_exists_and_is_all_that_the_package_is_built_from():
    copied = [(source, target) for *sources, target in map(str.split, of("COPY")) for source in sources]
    assert not [source for source, _ in copied if not (ROOT / source).exists()]
    needed = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "gr2_jax"}
    assert needed <= {source for source, _ in copied}
    assert all(target in ("/gr2/", f"/gr2/{source}") for source, target in copied)


@pytest.mark.parametrize("device", ["cpu", "cuda", "tpu", "gpu"])
def test_a_device_installs_extras_that_there_are(tmp_path, device):
    (command,) = (rest for rest in of("RUN") if "pip install" in rest)
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DEVICE": device}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    if device == "gpu":
        assert (done.returncode, done.stdout) == (2, "")
        assert "DEVICE is 'gpu': it must be cpu, cuda or tpu" in done.stderr
        return
    extras = re.fullmatch(r"install --no-cache-dir /gr2\[(.*)\]\n", done.stdout)[1].split(",")
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    assert (device in extras) == (device != "cpu")


def test_the_program_is_gr2_and_its_user_is_not_root():
    assert of("ENTRYPOINT") == ['["gr2"]']
    assert "gr2" in PROJECT["scripts"]
    assert of("USER") == ["gr2"]
    assert [name for name, _ in steps()].index("USER") > max(i for i, step in enumerate(steps()) if step[0] == "RUN")
    assert of("ARG") == ["DEVICE=cpu"]
    version = re.fullmatch(r"python:(3\.\d+)", of("FROM")[0])[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
