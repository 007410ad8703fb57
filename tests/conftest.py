import gzip
import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

# Most of a test's time is compilation. LLVM's optimisations and XLA's newer way to write fused loops come after what
# nearly all tests test, and would take most of the time; tests/pipeline/test_quickstart.py runs with them, as users do.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1" and version("jaxlib").startswith("0.10."):
    # a flag that another version does not know would end the process
    _flags = {*os.environ.get("XLA_FLAGS", "").split(), "--xla_cpu_use_fusion_emitters=false"}
    os.environ["XLA_FLAGS"] = " ".join(sorted(_flags))
# Read once, when etils first sees a path: the tests of buckets go through gcsfs and s3fs, as gr2 does.
os.environ.setdefault("EPATH_USE_TF", "false")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # before jax reads its settings
    # What one process of this test run compiled, the others load.
    _compiled = tempfile.TemporaryDirectory(prefix="gr2-tests-", ignore_cleanup_errors=True)
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": _compiled.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3"}

import jax
import numpy as np
import pytest
from hypothesis import settings

from gr2_jax.corpus import Qrels, read_qrels

settings.register_profile("repeatable", derandomize=True, deadline=None)  # the same examples on every machine
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test collections: $GR2_DATA, or shared/data beside the checkout; skips where neither is."""
    folder = Path(os.environ.get("GR2_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no test collections at {folder} (set GR2_DATA)")
    return folder


class Cranfield(NamedTuple):
    doc_ids: list[str]
    texts: list[str]
    queries: dict[str, str]
    qrels: Qrels


@pytest.fixture(scope="session")
def cranfield(shared_data) -> Cranfield:
    folder = shared_data / "cranfield"
    with gzip.open(folder / "documents.jsonl.gz", "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    lines = (folder / "queries.tsv").read_text(encoding="utf-8").splitlines()
    return Cranfield(
        [document["doc_id"] for document in documents],
        [document["text"] for document in documents],
        dict(line.split("\t") for line in lines),
        read_qrels(folder / "qrels.txt"),
    )


def _random_params(module, *args, seed=0):
    """Parameters of a size that keeps activations near 1, drawn by numpy: `init` would compile hundreds of draws.

    Norm scales and the pooling direction are drawn as well, where `init` has ones and zeros that could hide a mistake.
    """
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        value = rng.normal(size=shape.shape).astype(shape.dtype)
        name = path[-1].key
        if name == "scale":
            return 1 + 0.2 * value
        # a kernel's inputs are its last dimension but one: a scanned stack has layers before them
        inputs = {"kernel": -2, "direction": 0}
        return value / np.float32(np.sqrt(shape.shape[inputs[name]])) if name in inputs else value

    shapes = jax.eval_shape(module.init, jax.random.key(0), *args)["params"]
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="session")
def random_params():
    return _random_params
