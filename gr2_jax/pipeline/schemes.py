"""The docid schemes: each proposes candidates for every document. Adding one is a function and a line in `SCHEMES`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gr2_jax.config import Experiment
from gr2_jax.data.batches import PairBatches
from gr2_jax.data.tasks import ExampleArrays
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.docids import Docid, fusion_candidates, residual_codes
from gr2_jax.errors import UserError
from gr2_jax.models import EOS_ID, PAD_ID, UNK_ID, Fusion
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer, read_corpus
from gr2_jax.pipeline.semantics import SENTINEL_VECTORS, load_semantics, starting_params, weights_fingerprint
from gr2_jax.progress import track
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.loop import Plan, adam, train
from gr2_jax.training.objectives import fusion_loss
from gr2_jax.workdir import Workdir

Candidates = Sequence[Sequence[Docid]]
SUFFIX_DIGITS = 10  # the last sentinels of the vocabulary spell disambiguating suffixes


class Making(NamedTuple):
    """What a scheme is given: the run, the fingerprint of what it makes, and the directory it may leave files in."""

    experiment: Experiment
    workdir: Workdir
    fingerprint: str
    out: Path


class Scheme(NamedTuple):
    propose: Callable[[Making], Candidates]
    settings: Callable[[Experiment], Any]
    """What of the experiment decides the candidates, beside the examples, the seed and the longest docid."""


def titles(making: Making) -> Candidates:
    """The document's title, as the paper does for NQ and Wikipedia."""
    collection, _ = read_corpus(making.workdir)
    untitled = [document.doc_id for document in collection.documents if not document.title]
    if untitled:
        raise UserError(
            f"document {untitled[0]} of {collection.name} has no title (and {len(untitled) - 1} more), so titles "
            f"cannot be docids: choose another of docids.schemes ({', '.join(SCHEMES)})"
        )
    encoded = load_tokenizer(making.experiment, making.workdir).encode_batch([d.title for d in collection.documents])
    return [[tuple(title)] for title in encoded]


def codes(making: Making) -> Candidates:
    """Residual k-means codes of the documents' LSA vectors, written in sentinels that start from the centroids."""
    config, seed = making.experiment.docids, making.experiment.seed
    sentinels = load_tokenizer(making.experiment, making.workdir).sentinels
    needed = config.codebooks * config.codes + SUFFIX_DIGITS
    if needed > len(sentinels):
        raise UserError(
            f"{config.codebooks} codebooks of {config.codes} codes need --vocabulary.extra_ids of {needed} or more, "
            f"not {len(sentinels)}"
        )
    vectors = load_semantics(making.workdir).document_vectors
    found = residual_codes(vectors, levels=config.codebooks, codes=config.codes, seed=seed)
    ids = sentinels.start + np.arange(config.codebooks * config.codes).reshape(config.codebooks, config.codes)
    np.savez(making.out / SENTINEL_VECTORS, ids=ids.ravel(), vectors=found.centroids.reshape(ids.size, -1))
    return [[tuple(int(ids[level, code]) for level, code in enumerate(row))] for row in found.codes]


def fusion(making: Making) -> Candidates:
    """Pseudo-queries from z = e_d + r of the fusion model (paper 4.1), trained here on the training pairs."""
    config, examples = making.experiment.fusion, load_examples(making.workdir)
    tokenizer = load_tokenizer(making.experiment, making.workdir)
    model = Fusion(config.model.t5(tokenizer.size), config.latent)
    params = _trained_fusion(making, model, examples)
    allowed = np.arange(model.config.vocab_size) < tokenizer.size  # a T5 has more rows than its vocabulary has ids
    allowed[[PAD_ID, UNK_ID, *tokenizer.sentinels]] = False  # suffixes are made of sentinels
    generated = fusion_candidates(
        model,
        params,
        examples["documents"].tokens[:, : config.document_length],
        radius=config.radius,
        beams=config.beams,
        max_length=making.experiment.docids.max_length + 1,  # and EOS
        allowed=allowed,
        seed=making.experiment.seed,
    )
    spelled = ([_respell(tokenizer, docid) for docid in docids] for docids in generated)
    return list(track(spelled, len(examples["documents"].tokens), "pseudo-queries"))


def _trained_fusion(making: Making, model: Fusion, examples: dict[str, ExampleArrays]) -> dict:
    """The parameters after Eq. 3's training, which goes on from its checkpoint."""
    config, seed = making.experiment.fusion, making.experiment.seed
    batches = PairBatches(
        queries=examples["queries"],
        pseudo=examples["pseudo"],
        documents=examples["documents"],
        pairs=config.pairs,
        document_length=config.document_length,
        query_length=making.experiment.docids.max_length + 1,  # and EOS
        eos=EOS_ID,
        seed=seed,
    )
    plan = Plan(
        label="fusion docids",
        loss=partial(fusion_loss, model=model, objective=config.objective),
        batches=batches,
        optimiser=adam(**vars(config.optimiser)),
        steps=config.optimiser.steps,
        seed=seed,
        checkpoint_seconds=making.experiment.retrieval.checkpoint_seconds,
    )
    first = batches(0)
    params = model.init(jax.random.key(seed), first["document_tokens"][:1], first["query_tokens"][:1])["params"]
    params = starting_params(params, config.model, model.config, making.workdir)
    checkpoints = making.workdir.checkpoints(f"fusion-{making.fingerprint}")
    train(plan, params, checkpoints)
    return restore_params(checkpoints, params)[0]


def _respell(tokenizer: Tokenizer, docid: Docid) -> Docid:
    """The vocabulary's own spelling of a generated text, so that different docids also read differently."""
    return tuple(tokenizer.encode(tokenizer.decode(docid)))


SCHEMES = {
    "title": Scheme(titles, lambda experiment: None),
    "codes": Scheme(codes, lambda experiment: [experiment.docids.codebooks, experiment.docids.codes]),
    "fusion": Scheme(fusion, lambda e: [e.fusion, weights_fingerprint(e.fusion.model)]),
}
