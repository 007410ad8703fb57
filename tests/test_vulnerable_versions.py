"""pyproject.toml allows no version of a library in which a vulnerability is known that a later version mended."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EVERY = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]

# The version that mended the last one known on 28 November 2026, and its number or where it was reported.
MENDED = {
    "filelock": ("3.20.3", "CVE-2025-68146, CVE-2026-22701: symbolic links in the place of a lock"),
    "flask": ("3.1.3", "CVE-2026-27205"),
    "flask-cors": ("6.0", "CVE-2024-6839, CVE-2024-6844, CVE-2024-6866"),
    "mcp": ("1.28.1", "CVE-2026-52869, CVE-2026-52870, CVE-2026-59950: sessions and hosts of strangers"),
    "pytest": ("9.0.3", "CVE-2025-71176: its temporary folder"),
    "sentencepiece": ("0.2.2", "CVE-2026-1260, google/sentencepiece issue 1263: a vocabulary that ends the process"),
    "starlette": ("1.3.1", "CVE-2026-48710, CVE-2026-48818, CVE-2026-54282, CVE-2026-54283: hosts, paths, bodies"),
    "torch": ("2.10", "CVE-2026-24747: weights that run code"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "transformers": ("5.10", "CVE-2026-4372, CVE-2026-5241, CVE-2026-9856: configs that run code, names with paths"),
}


@pytest.mark.parametrize("name", MENDED)
def test_no_version_before_the_mended_one_is_allowed(name):
    ours = [requirement for requirement in map(Requirement, EVERY) if requirement.name.lower() == name]
    assert ours
    for requirement in ours:
        lowest = [each.version for each in requirement.specifier if each.operator in (">=", "==", "~=")]
        assert lowest, requirement
        assert max(map(Version, lowest)) >= Version(MENDED[name][0]), f"{requirement}: {MENDED[name][1]}"
