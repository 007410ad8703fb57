"""Phase 2: resolves linked titles to articles, through redirects, and makes graded pairs, all with joins by key.

No step holds all titles: whatever the size of the wiki, a worker sees one title, or one article with a query, at a
time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import apache_beam as beam

from gr2_jax.corpus.wikipedia import parts, shards
from gr2_jax.corpus.wikipedia.examples import encode_example, frame
from gr2_jax.corpus.wikipedia.pairs import Target, WikipediaOptions, choose

# MediaWiki itself follows one redirect; bots keep chains short. Links through longer chains or loops are dropped.
MAX_REDIRECTS = 3
Link = tuple[int, int]  # (id of the page with the query, grade of the section that holds the link)


def write_pairs(root: beam.Pipeline, pieces: list[dict], output: str, options: WikipediaOptions) -> None:
    """Adds the steps from pieces of parsed articles to the shards of pairs and the counts of dropped links."""
    records = root | "Pieces" >> beam.Create(pieces) | beam.Reshuffle() | beam.FlatMap(parts.read_records)
    titles = records | "Titles" >> beam.Map(_title)
    asking = records | "Asking" >> beam.FlatMap(_asking)
    links = records | "Links" >> beam.FlatMap(_links)
    resolved, dropped = [], []
    for hop in range(MAX_REDIRECTS + 1):
        outputs = (
            {"titles": titles, "links": links}
            | f"Join {hop}" >> beam.CoGroupByKey()
            | f"Resolve {hop}" >> beam.FlatMap(_resolve).with_outputs("redirected", "dropped", main="resolved")
        )
        resolved.append(outputs.resolved)
        dropped.append(outputs.dropped)
        links = outputs.redirected
    dropped.append(links | "Chains" >> beam.Map(lambda link: ("redirect chain or loop", 1)))
    targets = resolved | "Targets" >> beam.Flatten()
    graded = (
        {"asking": asking, "targets": targets}
        | "By article" >> beam.CoGroupByKey()
        | "Grade" >> beam.FlatMap(_grade, options).with_outputs("dropped", main="pairs")
    )
    dropped.append(graded.dropped)
    every_shard = root | "Every shard" >> beam.Create([(shard, None) for shard in range(options.shards)])
    (
        [every_shard, graded.pairs]
        | "All shards" >> beam.Flatten()
        | "By shard" >> beam.GroupByKey()
        | "Write pairs" >> beam.Map(shards.write_pairs, output, options)
    )
    (
        dropped
        | "All dropped" >> beam.Flatten()
        | "Count" >> beam.CombinePerKey(sum)
        | "Reasons" >> beam.combiners.ToDict()
        | "Write dropped" >> beam.Map(shards.write_dropped, output)
    )


def _title(record: list) -> tuple[str, tuple[str, int, str]]:
    kind, title, *rest = record
    if kind == "redirect":
        return title, (kind, 0, rest[0])
    return title, ("article" if kind == "ask" else kind, rest[0] if rest else 0, "")


def _asking(record: list) -> Iterator[tuple[int, tuple[str, str]]]:
    if record[0] == "ask":
        _, title, page_id, query, _ = record
        yield page_id, (title, query)


def _links(record: list) -> Iterator[tuple[str, Link]]:
    if record[0] == "ask":
        _, _, page_id, _, candidates = record
        for target, grade in candidates:
            yield target, (page_id, grade)


def _resolve(element: tuple[str, dict[str, Iterable]]) -> Iterator:
    """Sends the links to a title to its article, or on to the title that it redirects to."""
    title, groups = element
    kind, page_id, redirect = min(groups["titles"], default=("missing", 0, ""))
    count = 0
    for asking, grade in groups["links"]:
        if kind == "article":
            yield asking, (grade, page_id, title)
        elif kind == "redirect" and redirect:
            yield beam.pvalue.TaggedOutput("redirected", (redirect, (asking, grade)))
        else:
            count += 1
    if count:
        reason = "redirect to another namespace" if kind == "redirect" else kind
        yield beam.pvalue.TaggedOutput("dropped", (reason, count))


def _grade(element: tuple[int, dict[str, Iterable]], options: WikipediaOptions) -> Iterator:
    """Yields (shard, (id, counts by grade, framed record)) of an article with a query, and counts of dropped links."""
    page_id, groups = element
    title, query = min(groups["asking"])
    targets = [Target(*fields) for fields in groups["targets"]]
    chosen = choose(page_id, title, targets, options)
    features = {
        "query_id": page_id,
        "query": query,
        "doc_ids": [target.page_id for target in chosen],
        "titles": [target.title for target in chosen],
        "grades": [target.grade for target in chosen],
    }
    grades = dict(Counter(features["grades"]))
    yield page_id % options.shards, (page_id, grades, frame(encode_example(features)))
    itself = sum(target.page_id == page_id for target in targets)
    different = len({target.page_id for target in targets} - {page_id})
    for reason, count in (
        ("the article itself", itself),
        ("linked twice", len(targets) - itself - different),
        ("not in the sample", different - len(chosen) + 1),
    ):
        if count:
            yield beam.pvalue.TaggedOutput("dropped", (reason, count))
