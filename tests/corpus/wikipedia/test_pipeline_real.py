"""Graded pairs of real articles; skipped without the dump samples."""

from pathlib import Path

import pytest

from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions

pytest.importorskip("apache_beam")
pipeline = pytest.importorskip("gr2_jax.corpus.wikipedia.pipeline")

SAMPLES = Path(__file__).parents[2].parent / "shared/data/mediawiki"
ENGLISH = SAMPLES / "enwiki-2014-sample-export0.9.xml.bz2"
pytestmark = pytest.mark.skipif(not ENGLISH.exists(), reason="needs the dump samples")

# Read by hand from the articles: the links to articles in the sample, with redirects followed and no limit on links.
BY_HAND = {
    877: {"Abjad": 4, "Abugida": 3, "Alphabet": 1, "Aramaic alphabet": 1},
    878: {"Abugida": 4, "Abjad": 2, "Alphabet": 2, "Aramaic alphabet": 1},
    921: {"Angst": 4, "Anxiety": 3},
    640: {"Appellate procedure in the United States": 4, "Appellate court": 3},
    663: {"Apollo 8": 4, "Apollo 11": 2, "Astronaut": 2, "Atlantic Ocean": 1},
    655: {"Abacus": 4, "Asia": 2, "ASCII": 1, "Ancient Egypt": 1},
    911: {"Archipelago": 4, "Aegean Sea": 2, "Albania": 2},
    1002: {"Miss Marple": 4, "Agatha Christie": 2, "Hercule Poirot": 2, "Anime": 1},
    681: {"Aardwolf": 4, "Aardvark": 1, "Arable land": 1},
    898: {"Antimony": 4, "Atomic number": 2, "Arsenic": 1},
    854: {
        "Anatolia": 4,
        "Aegean Sea": 2,
        "Asia": 2,
        "Azerbaijan": 2,
        "Alexander the Great": 1,
        "Ankara": 1,
    },
    336: {"Altruism": 4, "Allah": 1, "Anxiety": 1},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from gr2_jax.corpus.wikipedia.reader import read_wikipedia

    output = tmp_path_factory.mktemp("english") / "out"
    options = WikipediaOptions(see_also_links=1000, lead_links=1000, other_links=1000, shards=2)
    manifest = pipeline.build_wikipedia([str(ENGLISH)], str(output), options, ("--direct_num_workers=1",))
    return manifest, read_wikipedia(output)


def test_pairs_of_twelve_articles(built):
    stream = built[1]
    titles = {document.doc_id: document.title for document in stream.documents()}
    found = {page: {titles[doc]: grade for doc, grade in stream.qrels[str(page)].items()} for page in BY_HAND}
    assert found == BY_HAND


def test_pages_are_counted_and_the_missing_end_is_reported(built):
    manifest = built[0]
    counts = manifest["counts"]
    assert counts["pages"] == 361
    assert counts["articles"] + counts["disambiguation pages"] + counts["list pages"] == 215
    assert counts["articles"] + counts["redirects"] + counts["pages of other namespaces"] + 14 == 361
    (warning,) = manifest["warnings"]
    assert "without </mediawiki>" in warning


@pytest.mark.parametrize("pattern", ["simplewiki*", "aawiki*"])
def test_the_other_samples_build(pattern, tmp_path):
    manifest = pipeline.build_wikipedia(
        [str(SAMPLES / pattern)], str(tmp_path / "out"), WikipediaOptions(shards=1), ("--direct_num_workers=1",)
    )
    assert manifest["counts"]["pages"] == {"simplewiki*": 7, "aawiki*": 507}[pattern]
