"""The script of `gr2 --completion bash`, asked by bash itself."""

import shutil
import subprocess

import pytest

from gr2_jax import cli
from gr2_jax.commands.completion import completion_script
from gr2_jax.errors import UserError

pytest.importorskip("shtab")

ASK = """
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_shtab_gr2 2>/dev/null  # compopt complains outside of an interactive shell
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "gr2.sh"
    path.write_text(completion_script(cli.parser(), "bash"))
    return path


@pytest.fixture
def completed(script, tmp_path):
    """What bash offers for a line whose last word is being typed, in a folder with a run and two configs."""
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    for row in ("GR2S", "GR2S-fusion", "BM25"):
        (tmp_path / "run" / "runs" / row).mkdir(parents=True)
    (tmp_path / "run" / "config.json").touch()
    for name in ("mine.py", "more.py", "notes.txt"):
        (tmp_path / name).touch()

    def ask(*words):
        line = ["bash", "-c", ASK, "bash", str(script), "gr2", *words]
        done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=tmp_path)
        return set(done.stdout.split())

    return ask


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["quick"], {"quickstart"}),
        (["--ver"], {"--version"}),
        (["search", "--ro"], {"--row"}),
        (["search", "--workdir", ""], {"run"}),
        (["search", "--workdir", "run", "--row", "GR"], {"GR2S", "GR2S-fusion"}),
        (["evaluate", "run", "--row", ""], {"GR2S", "GR2S-fusion", "BM25"}),
        (["search", "--row", ""], set()),
        (["search", "--exact", ""], {"no", "adaptive", "exhaustive"}),
        (["run", "m"], {"mine.py", "more.py"}),
        (["run", "mine.py", "more"], {"more.py"}),
        (
            ["run", "mine.py", "--retrieval.optimiser.w"],
            {f"--retrieval.optimiser.w{x}" for x in ("armup_steps", "eight_decay")},
        ),
        (["train", "mine.py", "--retrieval.objective.graded", "mg"], {"mgcc"}),
        (["quickstart", "--profile", ""], {"default", "tiny"}),
        (["config", ""], {"show"}),
        (["metrics", "n"], {"notes.txt"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_offers(completed, words, offered):
    assert completed(*words) == offered


def test_every_command_is_offered(completed):
    assert set(cli.COMMANDS) <= completed("")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_command_prints_the_script(capsys, shell):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--completion", shell])
    assert stop.value.code == 0
    assert capsys.readouterr().out == completion_script(cli.parser(), shell) + "\n"


def test_a_shell_that_is_not_known():
    with pytest.raises(UserError, match=r"--completion is 'zhs': did you mean 'zsh'\?"):
        completion_script(cli.parser(), "zhs")
