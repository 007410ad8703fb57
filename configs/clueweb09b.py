"""ClueWeb09-B, the whole: 50 million pages, 200 queries of TREC Web 2009 to 2012, in one split.

gr2 rehearse configs/clueweb09b.py --workdir runs/clueweb09b-rehearsal     what it costs, over generated text
gr2 convert google-t5/t5-base t5-base
gr2 run configs/clueweb09b.py
gr2 run configs/clueweb09b.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
ClueWeb09 needs a licence, see configs/clueweb500k.py. What differs from that config: docids are a document's telling
words, which are read from the disk block by block, where the docid model would write for every page; batches are
larger, so that the training reads every page about once; one split, since every fold would write the collection again;
and no rows that hold an index of all pages in memory (BM25, LSA).
Hardware: the training was planned on v5e:16x16 only, with configs/pods/v5e_256.py. A run without training would leave
616 GB on the disk, by the line through 20,000 and 40,000 generated documents (gr2 rehearse; see
tests/benchmarks/RESULTS.md). Not run here, so no time of ours and no score.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.planning.generated_collection import Statistics
from gr2_jax.recipes.paper import whole_collection

experiment = whole_collection(
    "clueweb09b",
    CorpusConfig(
        source="irds:clueweb09/catb/trec-web-2009+clueweb09/catb/trec-web-2010+clueweb09/catb/trec-web-2011"
        "+clueweb09/catb/trec-web-2012",
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=20,
        test_queries=50,
    ),
    texts=2048,  # 1,024 documents a step: about each of them once
)

statistics = Statistics(
    documents=50_220_423,  # ir_datasets' metadata of clueweb09/catb
    words=765,  # 26 billion words in 34 million pages, those that a spam filter leaves (bigdatalab.ac.cn, ClueWeb09B)
    median_words=430,  # an assumption
    title_words=6.0,  # an assumption
    untitled=0.03,  # an assumption
    duplicates=0.05,  # an assumption; pages of one URL are .2% of the English pages (lemurproject.org/clueweb09)
    url_depth=3.0,  # an assumption
    queries=200,
    query_words=2.9,  # of topics 101 to 200
    # ir_datasets' metadata: 52,066 judgements of the four years in category B, divided by 200
    judged=((4, 2.900), (3, 1.575), (2, 14.12), (1, 36.59), (0, 196.27), (-2, 8.875)),
)
