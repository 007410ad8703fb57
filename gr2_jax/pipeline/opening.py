"""Opens whatever one searches with: a run, a bundle of a run's row, or such a bundle on the Hugging Face hub."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gr2_jax.buckets import local_copy
from gr2_jax.compilation_cache import keep_compiled_programs
from gr2_jax.pipeline.bundle.contents import is_bundle
from gr2_jax.progress import say
from gr2_jax.search.opened import OpenRetriever


def open_row_or_bundle(
    directory: str | os.PathLike, row: str | None = None, options: Mapping[str, Any] | None = None
) -> OpenRetriever:
    """A run's row, by default the first of its config, or a bundle's, with changes to its `SearchOptions`.

    A folder comes before a bundle of that name on the hub.
    """
    place = located(directory)
    if is_bundle(place):
        from gr2_jax.pipeline.bundle.opening import open_bundle

        return open_bundle(place, row, options)
    # imported here: a bundle needs none of the kinds of rows and schemes, nor their half a second
    from gr2_jax.pipeline.open_run import open_row

    return open_row(directory, row, options=options)


def located(directory: str | os.PathLike) -> Path:
    """The folder on this disk: a copy where it is in a bucket, or of the hub where it is not here. A name in a folder
    that is here, or in `runs`, is mistyped, or not trained yet: no hub is asked for it."""
    from gr2_jax.pipeline.bundle.hub import downloaded, is_hub_name

    place = local_copy(directory, workdir=True)
    if place.exists() or place.parent.is_dir() or place.parent.name == "runs" or not is_hub_name(directory):
        return place
    say(f"there is no folder {directory} here: looking for it on the Hugging Face hub")
    return downloaded(directory)


def open_retriever(directory: str | os.PathLike, row: str | None = None, **options: Any) -> OpenRetriever:
    """A row of a run on disk, or a bundle, ready to search: `open_retriever("runs/quickstart").search("a query", k=5)`.

    Args:
        directory: The run's workdir; or a bundle, which `gr2 export` wrote; or a bundle's name on the Hugging Face hub,
            such as "owner/name", where there is no such folder here.
        row: A row of the run's table, trained or not; the first by default.
        options: Changes to the run's `gr2_jax.search.searcher.SearchOptions`.

    Raises:
        UserError: There is no run and no bundle, no such row or option, or the row is not trained yet; or a bundle is
            damaged.
    """
    keep_compiled_programs()
    return open_row_or_bundle(directory, row, options)
