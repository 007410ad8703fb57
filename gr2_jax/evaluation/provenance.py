"""The provenance of a number, which every results file records beside it."""

import hashlib
import os
from importlib import metadata

CONVENTIONS = (
    "nDCG: linear gain; ERR: exponential gain, the scale ends at the judgements' highest grade; P and other binary "
    "measures: grade >= 1; unless a measure's name says otherwise; equal scores: the larger document id first"
)
TOPICS = {
    "relevant": "queries with a relevant judgement; those without results count 0",
    "judged": "all judged queries; those without results or without a relevant judgement count 0",
    "answered": "judged queries with results, of each run by itself",
}
_PACKAGES = ("gr2_jax", "jax", "flax", "optax", "orbax-checkpoint", "seqio", "numpy", "scipy", "bm25s", "ir-measures")


def package_versions() -> dict[str, str | None]:
    """The version of each package that affects a score; None if it is not installed."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def sha256(path: str | os.PathLike) -> str | None:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits; None for a pipe, which can be read only once."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
