import gzip
import json
from typing import NamedTuple

import pytest

from gr2_jax.corpus import Qrels, read_qrels


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
