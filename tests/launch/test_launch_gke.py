"""The JobSet of a TPU slice, with a fake kubectl."""

import re

import pytest
import yaml

OPTIONS = ["--name", "gr2", "--image", "here/gr2:1", "--accelerator", "tpu-v5-lite-podslice", "--topology", "4x4"]
OPTIONS += ["--hosts", "4", "--claim", "disk"]
ARGUMENTS = ["train", "my config.py", '--name="a\\b"', "$(X) @NAME@ & ${Y}\n#é"]


@pytest.fixture
def jobset(shell) -> dict:
    shell.pretend("kubectl", "cat >~/manifest")
    shell("gke.sh", *OPTIONS, "--spot", "--crashes", "7", "--namespace", "team", "--", *ARGUMENTS)
    assert shell.calls() == ["kubectl --namespace team create -f -"]
    return yaml.safe_load((shell.folder / "manifest").read_text())


def test_it_starts_the_command_on_every_host_of_the_slice(jobset):
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert jobset["metadata"]["name"] == "gr2"
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 4
    assert job["completionMode"] == "Indexed"
    pod = job["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
        "cloud.google.com/gke-spot": "true",
    }
    assert pod["volumes"] == [{"name": "shared", "persistentVolumeClaim": {"claimName": "disk"}}]
    (container,) = pod["containers"]
    assert container["image"] == "here/gr2:1"
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    assert {"name": "GR2_CLUSTER", "value": "auto"} in container["env"]
    assert container["command"][:2] == ["bash", "-c"]
    assert 'exec python -m gr2_jax "$@"' in container["command"][2]
    assert [word.replace("$$(", "$(") for word in container["args"]] == ARGUMENTS


def test_a_name_is_as_long_as_its_pods_names_leave_room_for(shell):
    """A pod's name ends in -slice-0-HOST-xxxxx and may have 63 characters."""
    longest = 63 - len("-slice-0-3-xxxxx")
    for hosts, fits in (("4", longest), ("11", longest - 1)):
        options = [*OPTIONS, "--hosts", hosts, "--dry-run"]
        shell("gke.sh", *options, "--name", "a" * fits, "--", "train")
        done = shell("gke.sh", *options, "--name", "a" * (fits + 1), "--", "train", code=2)
        assert f"at most {fits}" in done.stderr


def test_the_job_is_named_to_its_processes_which_tell_an_earlier_start_by_it(jobset):
    (container,) = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "GR2_JOB", "value": "gr2"} in container["env"]


def test_no_placeholder_is_left(shell):
    text = shell("gke.sh", *OPTIONS, "--dry-run", "--", "train").stdout
    assert not re.search(r"@[A-Z]+@", text)
    assert text.startswith("kubectl create -f - <<'END'\n")
    assert "gke-spot" not in text
    assert yaml.safe_load("\n".join(text.splitlines()[1:-1]))["kind"] == "JobSet"


@pytest.mark.parametrize(
    ("code", "disrupted", "action"),
    [
        (75, False, "RestartJobSetAndIgnoreMaxRestarts"),
        (75, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (137, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (137, False, "RestartJobSet"),
        (134, False, "RestartJobSet"),
        (1, False, "RestartJobSet"),
        (2, False, "FailJobSet"),
    ],
)
def test_what_follows_an_exit_code(jobset, code, disrupted, action):
    """By the rules of Kubernetes (the first that matches fails the Job, with a message) and of JobSet."""
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # without it Kubernetes refuses a podFailurePolicy
    reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    for place, rule in enumerate(job["podFailurePolicy"]["rules"]):
        assert rule["action"] == "FailJob"
        codes = rule.get("onExitCodes")
        if codes and codes["operator"] == "NotIn" and code not in codes["values"]:
            message = (
                f"Container gr2 for pod team/gr2-0 failed with exit code {code} matching FailJob rule at index {place}"
            )
            reason = "PodFailurePolicy"
            break
        if disrupted and rule.get("onPodConditions") == [{"type": "DisruptionTarget"}]:
            message = f"Pod team/gr2-0 has condition DisruptionTarget matching FailJob rule at index {place}"
            reason = "PodFailurePolicy"
            break
    follows = "RestartJobSet"
    for rule in jobset["spec"]["failurePolicy"]["rules"]:
        patterns = rule.get("onJobFailureMessagePatterns", [""])
        if reason in rule["onJobFailureReasons"] and any(re.search(pattern, message) for pattern in patterns):
            follows = rule["action"]
            break
    assert follows == action
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] == 7


def test_by_xpk(shell):
    shell.pretend("xpk")
    options = ["--xpk", "cluster", "--name", "gr2", "--image", "i", "--type", "v5litepod-16"]
    shell("gke.sh", *options, "--storage", "disk", "--shared", "/data", "--restarts", "9", "--", "train", "my c.py")
    (call,) = shell.calls()
    assert call.startswith("xpk workload create --cluster cluster --workload gr2 --tpu-type v5litepod-16 ")
    assert "--max-restarts 9 --restart-on-exit-codes 1,75 " in call
    assert call.endswith(r"--command cd /data && exec python -m gr2_jax train my\ c.py")


def test_with_a_workdir_in_a_bucket_no_claim_is_needed(shell):
    options = [*OPTIONS[: OPTIONS.index("--claim")], "--dry-run", "--", "train", "configs/wikipedia.py"]
    text = shell("gke.sh", *options, "--workdir", "gs://bucket/run").stdout
    manifest = yaml.safe_load(text[text.index("apiVersion") : text.rindex("END")])
    pod = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "shared", "emptyDir": {}}]
    assert pod["containers"][0]["workingDir"] == "/gr2"
    assert "--claim is missing" in shell("gke.sh", *options, "--workdir", "/disk", code=2).stderr
