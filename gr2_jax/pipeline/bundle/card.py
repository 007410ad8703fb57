"""A bundle's README.md: what it is, what the run measured, how large it is, and the lines that open it."""

from pathlib import Path

from gr2_jax.files import read_text
from gr2_jax.models.huggingface.reading import WEIGHTS
from gr2_jax.pipeline.bundle.contents import DOC_IDS, DOCUMENTS, TRIE, VECTORS, VOCABULARY, Contents
from gr2_jax.pipeline.open_run import RunRetriever

_PARTS = {
    "model": (WEIGHTS,),
    "vocabulary": (VOCABULARY,),
    "docids": (f"{TRIE}/",),
    "docid vectors": (f"{VECTORS}/",),
    "documents": (DOCUMENTS,),
    "ids of documents": (DOC_IDS,),
}

_CARD = """\
---
library_name: gr2_jax
tags: [information-retrieval, generative-retrieval]
---
# {experiment}: {row}

A generative retriever (GR2, generative retrieval with multi-graded relevance) over {documents:,} documents. It answers
a query with documents by writing their docids. {texts}

## Search

In this folder, where gr2_jax is installed without any extra:

```
gr2 search "a query" --workdir .
```

```python
import gr2_jax

retriever = gr2_jax.open_retriever(".")
for hit in retriever.search("a query", k=5):
    print(hit.rank, hit.doc_id, hit.title, hit.score)
```

From elsewhere the folder's path, or its name on the Hugging Face hub (extra `huggingface`), takes the place of the dot.
The files are data: no code and no pickle. Their sizes and checksums are in bundle.json and are compared when the bundle
is opened.

## Measured

{measured}

## Sizes

{sizes}
"""


def parts_of(directory: Path, contents: Contents) -> dict[str, int]:
    """Part of a bundle -> its bytes."""
    sizes = dict.fromkeys(_PARTS, 0)
    for name in contents.files:
        part = next(part for part, beginnings in _PARTS.items() if name.startswith(beginnings))
        sizes[part] += (directory / name).stat().st_size
    return {part: size for part, size in sizes.items() if size}


def card(opened: RunRetriever, contents: Contents, sizes: dict[str, int]) -> str:
    """The text of README.md; the same for the same run wherever its folder is."""
    texts = (
        "Their titles and texts are here."
        if contents.texts
        else "Their titles and texts are not here; their ids are, their docids, which may be words of their titles or "
        "texts, and the vocabulary that was learnt from them."
    )
    rows = [f"| {part} | {size:,} |" for part, size in [*sizes.items(), ("together", sum(sizes.values()))]]
    return _CARD.format(
        experiment=contents.experiment,
        row=contents.row,
        documents=contents.documents,
        texts=texts,
        measured=_measured(opened),
        sizes="\n".join(["| part | bytes |", "| --- | ---: |", *rows]),
    )


def _measured(opened: RunRetriever) -> str:
    run = opened.run
    table = run.paths.report / "test.md"
    if not table.is_file():
        return "The run was not measured."
    text = read_text(table).replace(f"{run.paths.root}/", "").strip()  # a note may name a file of the run
    since = ""
    if opened.changes is not None:
        new = sum(run.documents.get(doc_id) != document for doc_id, document in opened.documents.items())
        gone = len(run.documents.keys() - opened.documents.keys())
        since = f" It is of the run's own documents: since then {new:,} came or changed and {gone:,} went."
    return f"The run's table, on its test queries; the row of this bundle is {opened.row}.{since}\n\n{text}"
