"""A TPU VM slice, with a fake gcloud."""

OPTIONS = ["--name", "gr2", "--zone", "z", "--type", "v5litepod-16", "--runtime", "r", "--nfs", "10.0.0.2:/share"]

# `states` has a line for each describe, `codes` the job's exit codes; the last of either repeats.
GCLOUD = r"""
next() { # FILE: its first line, which goes unless it is the last
  head -n 1 "$1"
  if (($(wc -l <"$1") > 1)); then sed -i 1d "$1"; fi
}
case "$*" in
  *describe*)
    state=$(next ~/states)
    if [[ $state == ABSENT ]]; then echo "ERROR: NOT_FOUND: gr2" >&2; exit 1; fi
    if [[ $state == BROKEN ]]; then echo "ERROR: no network" >&2; exit 1; fi
    echo "$state" ;;
  *host.sh*) exit "$(next ~/codes)" ;;
esac
"""


def launch(shell, states: str, codes: str, *options: str, code: int = 0) -> list[str]:
    """The calls of gcloud, each by its verb."""
    shell.pretend("gcloud", GCLOUD)
    (shell.folder / "states").write_text("\n".join(states.split()) + "\n")
    (shell.folder / "codes").write_text("\n".join(codes.split()) + "\n")
    shell("tpu_vm.sh", *OPTIONS, *options, "--", "train", "c.py", "--mesh.data", "16", code=code)
    verbs = {"host.sh": "run", "gr2_venv": "install"}
    verbs |= {word: word for word in ("describe", "create", "delete", "scp")}
    called = [next(verb for sign, verb in verbs.items() if sign in call) for call in shell.calls()]
    return [verb for verb in called if verb != "describe"]


def test_a_slice_is_queued_for_installed_on_and_used(shell):
    assert launch(shell, "ABSENT WAITING PROVISIONING ACTIVE", "0") == ["create", "scp", "install", "run"]
    create, run = (next(call for call in shell.calls() if word in call) for word in ("create", "host.sh"))
    assert (
        "queued-resources create gr2 --zone z --node-id gr2 --accelerator-type v5litepod-16 --runtime-version r"
        in create
    )
    assert (
        "tpu-vm ssh gr2 --zone z --worker all --command cd /shared && GR2_CLUSTER=auto GR2_JOB=gr2 "
        "~/gr2_jax/launch/host.sh " in run
    )
    assert run.endswith("~/gr2_venv/bin/python -m gr2_jax train c.py --mesh.data 16")


def test_after_the_restart_code_the_same_hosts_run_it_again(shell):
    assert launch(shell, "ACTIVE", "75 134 1 0") == ["scp", "install", "run", "run", "run", "run"]
    rounds = {call.split("host.sh ")[1].split()[0] for call in shell.calls() if "host.sh" in call}
    assert len(rounds) == 4  # each round with its own name


def test_a_preempted_slice_is_created_again(shell):
    states = "ACTIVE SUSPENDING SUSPENDED ABSENT ACTIVE"
    expected = ["scp", "install", "run", "delete", "create", "scp", "install", "run"]
    assert launch(shell, states, "1 0", "--spot") == expected
    assert any("delete gr2 --zone z --force --quiet" in call for call in shell.calls())
    assert all("--spot" in call for call in shell.calls() if "create" in call)


def test_bad_input_ends_the_job(shell):
    assert launch(shell, "ACTIVE", "2", code=2) == ["scp", "install", "run"]


def test_a_traceback_may_be_a_lost_host_and_restarts_are_limited(shell):
    assert launch(shell, "ACTIVE", "1", "--crashes", "2", code=1)[2:] == ["run"] * 3


def test_without_a_queue_the_slice_is_created_at_once(shell):
    launch(shell, "ABSENT READY PREEMPTED PREEMPTED ABSENT READY", "137 0", "--direct", "--delete")
    made = [call for call in shell.calls() if " create " in call or " delete " in call]
    create = "gcloud compute tpus tpu-vm create gr2 --zone z --accelerator-type v5litepod-16 --version r"
    delete = "gcloud compute tpus tpu-vm delete gr2 --zone z --quiet"
    assert made == [create, delete, create, delete]  # the last one since the job is done


def test_an_unknown_state_is_queried_again(shell):
    assert launch(shell, "BROKEN BROKEN ACTIVE", "0") == ["scp", "install", "run"]
    assert launch(shell, "BROKEN", "0", code=1)[3:] == []


def test_with_a_workdir_in_a_bucket_the_hosts_need_no_shared_folder(shell):
    options = [*OPTIONS[: OPTIONS.index("--nfs")], "--dry-run", "--", "train", "configs/wikipedia.py"]
    for words in (["--workdir", "gs://bucket/run"], ["--workdir=gs://bucket/run"]):
        printed = shell("tpu_vm.sh", *options, *words).stdout.replace("\\", "")
        assert "mountpoint" not in printed
        assert "gs,tpu]" in printed
        assert "cd $HOME/gr2_jax && GR2_CLUSTER=auto" in printed
    for words in (["--workdir", "/disk"], ["--title", "gs://bucket/run"], []):
        assert "--workdir gs://" in shell("tpu_vm.sh", *options, *words, code=2).stderr
