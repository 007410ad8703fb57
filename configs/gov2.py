"""Gov2, the whole: 25 million pages, 149 queries of TREC Terabyte 2004 to 2006, in one split.

gr2 rehearse configs/gov2.py --workdir runs/gov2-rehearsal     what it costs, over generated text
gr2 convert google-t5/t5-base t5-base
gr2 run configs/gov2.py
gr2 run configs/gov2.py configs/variants/gr2p.py     GR2P, after gr2 train configs/wikipedia.py
.GOV2 needs a licence, see configs/gov500k.py. What differs from that config: docids are a document's telling words,
which are read from the disk block by block, where the docid model would write for every page; batches are larger, so
that the training reads every page about once; one split, since every fold would write the collection again; and no rows
that hold an index of all pages in memory (BM25, LSA).
Hardware: not planned. Not run here, so no time of ours and no score: gr2 rehearse measures the stages before the
training.
"""

from gr2_jax.experiment import CorpusConfig
from gr2_jax.planning.generated_collection import Statistics
from gr2_jax.recipes.paper import whole_collection

experiment = whole_collection(
    "gov2",
    CorpusConfig(
        source="irds:gov2/trec-tb-2004+gov2/trec-tb-2005+gov2/trec-tb-2006",
        empty_documents="drop",
        unjudged_queries="drop",
        validation_queries=15,
        test_queries=40,
    ),
    texts=1024,  # 512 documents a step: about each of them once
)

statistics = Statistics(
    documents=25_205_179,  # ir_datasets' metadata of gov2
    words=700,  # an assumption
    median_words=300,  # an assumption
    title_words=6.0,  # an assumption
    untitled=0.1,  # an assumption
    duplicates=0.1,  # an assumption
    url_depth=4.0,  # an assumption
    queries=149,  # of the 150, one has no judgement
    query_words=3.1,  # of topics 701 to 850
    judged=((2, 29.20), (1, 151.4), (0, 727.7)),  # the qrels of the three years, 135,352 lines, divided by 149
)
