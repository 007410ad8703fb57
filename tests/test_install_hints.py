"""Messages that say how to install something name an extra that there is, in the clone: there is no release."""

import re
import tomllib
from pathlib import Path

from gr2_jax.errors import install

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "gr2_jax").rglob("*.py"))}


def test_the_hint():
    assert install("data,beam") == "pip install -e '.[data,beam]' in the clone"


def test_every_extra_that_a_message_names_exists():
    named = {
        extra
        for text in SOURCES.values()
        for extras in re.findall(r"install\(['\"]([\w,]+)['\"]\)|'\.\[([\w,]+)\]'", text)
        for extra in "".join(extras).split(",")
    }
    assert {"data", "beam", "tpu", "huggingface", "tensorboard"} <= named <= EXTRAS.keys()


def test_no_message_asks_for_a_release():
    assert not [path for path, text in SOURCES.items() if re.search(r"pip install '?gr2_jax", text)]
