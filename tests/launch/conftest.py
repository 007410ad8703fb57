import os
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"


class Shell:
    """Runs launch scripts with fake tools first on PATH, which record their calls."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tools = folder / "tools"
        self.tools.mkdir()
        self.log = folder / "calls"
        self.environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(folder),
            "GR2_RESTART_DELAY": "0",
            "GR2_POLL_SECONDS": "0",
        }

    def pretend(self, name: str, body: str = "") -> Path:
        """Puts a fake tool on PATH; `$n` in its body is the number of calls so far, this one included."""
        tool = self.tools / name
        tool.write_text(
            f'#!/usr/bin/env bash\nprintf "%s\\n" "{name} $*" >>"{self.log}"\n'
            f'echo >>"{self.log}-{name}"; n=$(($(wc -l <"{self.log}-{name}")))\n' + body
        )
        tool.chmod(0o755)
        return tool

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def __call__(self, script: str, *words: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [LAUNCH / script, *words],
            env=self.environment | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done


@pytest.fixture
def shell(tmp_path) -> Shell:
    return Shell(tmp_path)
