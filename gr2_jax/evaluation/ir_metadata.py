"""The header by which a run file says how it was made: ir_metadata (Breuer et al., SIGIR 2022), its version 0.1.

YAML in comment lines. Tools that know it read it, others need a run without: trec_eval refuses comment lines.
"""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from typing import Any

from gr2_jax.corpus.runs import METADATA_END, METADATA_START


def ir_metadata(facts: Mapping[str, Any], *, tag: str, command: str, collection: str) -> Iterator[str]:
    """The header's lines.

    Args:
        facts: The provenance in metrics.json.
        tag: Of the run.
        command: That made it.
        collection: Where its documents come from.
    """
    about = {
        "schema.version": "0.1",
        "tag": tag,
        "platform": {
            "hardware": {"cpu": {"architecture": platform.machine(), "number of cores": os.cpu_count()}},
            "operating system": {"kernel": platform.release(), "distribution": platform.system()},
            "software": {
                "libraries": {
                    "python": [f"{name}=={version}" for name, version in facts["versions"].items() if version]
                }
            },
        },
        "implementation": {
            "executable": {"cmd": command},
            "source": {"lang": ["python"], "repository": "gr2_jax"},
        },
        "resources": {"runtime": {"search per query": f"{facts['ms_per_query']:.3g} ms"}, "devices": facts["devices"]},
        "method": {
            "automatic": True,
            "retrieval": [{"name": facts["row"], "method": "gr2_jax", **facts["search"]}],
            "models": facts["models"],
        },
        "data": {
            "test collection": {"source": collection, "queries": facts["queries"], "queries_sha": facts["queries_sha"]}
        },
    }
    yield METADATA_START
    for line in _yaml(about):
        yield f"# {line}"
    yield METADATA_END


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A mapping in blocks; keys and leaves as JSON, which is YAML."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield f"{indent}{json.dumps(key)}:"
            yield from _yaml(item, indent + "  ")
        else:
            yield f"{indent}{json.dumps(key)}: {json.dumps(item)}"
