"""Stage 2: for each scheme, candidates for every document, the unique assignment, the trie and its figures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np

from gr2_jax.config import Experiment
from gr2_jax.data.batches import PairBatches
from gr2_jax.data.vocabulary import Tokenizer, pad_rows
from gr2_jax.docids import Assignment, Docid, DocidTrie, assign_unique, fusion_candidates, residual_codes
from gr2_jax.errors import UserError
from gr2_jax.models import EOS_ID, Fusion, preset
from gr2_jax.pipeline.prepare import load_examples, load_tokenizer, read_corpus
from gr2_jax.pipeline.semantics import SENTINEL_VECTORS, load_semantics, start_values
from gr2_jax.progress import say, track
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.loop import Plan, adam, train
from gr2_jax.training.objectives import fusion_loss
from gr2_jax.workdir import Workdir, digest, run_stage, write_json

Candidates = Sequence[Sequence[Docid]]
_SUFFIX_DIGITS = 10  # the last sentinels of the vocabulary spell disambiguating suffixes


def make_docids(experiment: Experiment, workdir: Workdir, upstream: str) -> dict[str, str]:
    """Makes docids/<scheme>/ for every scheme of the config; returns each one's fingerprint."""
    prints = {}
    for scheme in experiment.docids.schemes:
        settings = [experiment.docids.max_length, experiment.seed, *SCHEMES[scheme].settings(experiment)]
        prints[scheme] = digest([upstream, scheme, settings])
        make = partial(_build, experiment, workdir, scheme, prints[scheme])
        run_stage(workdir.docids(scheme), prints[scheme], make)
    return prints


def load_docids(workdir: Workdir, scheme: str) -> tuple[DocidTrie, np.ndarray]:
    """The trie, and the table [N, T] of docids with EOS, 0-padded."""
    trie = DocidTrie.load(workdir.docids(scheme) / "trie.npz")
    return trie, pad_rows(trie.sequences(), trie.max_depth, eos=EOS_ID)


def _build(experiment: Experiment, workdir: Workdir, scheme: str, fingerprint: str, out: Path) -> None:
    say(f"docids: {scheme}")
    tokenizer = load_tokenizer(experiment, workdir)
    candidates = SCHEMES[scheme].propose(experiment, workdir, fingerprint, out)
    assignment = assign_unique(
        candidates, suffix_tokens=list(tokenizer.sentinels)[-_SUFFIX_DIGITS:], max_length=experiment.docids.max_length
    )
    DocidTrie.from_sequences(assignment.docids).save(out / "trie.npz")
    _write_table(experiment, workdir, assignment, out)
    write_json(out / "figures.json", assignment.figures())
    say(f"  {describe(assignment.figures())}")


def describe(figures: dict[str, float]) -> str:
    return (
        f"{figures['unique_share']:.0%} unique ({figures['unique_share_before']:.1%} before assignment), "
        f"{figures['needed_later_candidate']} took a later candidate, {figures['needed_suffix']} a suffix; "
        f"length mean {figures['length_mean']:.1f}, "
        f"95th percentile {figures['length_p95']:.0f} tokens"
    )


def _write_table(experiment: Experiment, workdir: Workdir, assignment: Assignment, out: Path) -> None:
    collection, _ = read_corpus(workdir)
    tokenizer = load_tokenizer(experiment, workdir)
    pairs = zip(collection.documents, assignment.docids, strict=True)
    lines = (f"{document.doc_id}\t{tokenizer.decode(docid)}\n" for document, docid in pairs)
    (out / "docids.tsv").write_text("".join(lines), encoding="utf-8")


class TitleScheme:
    """The document's title, as the paper does for NQ and Wikipedia."""

    @staticmethod
    def settings(experiment: Experiment) -> list:
        return []

    @staticmethod
    def propose(experiment: Experiment, workdir: Workdir, fingerprint: str, out: Path) -> Candidates:
        collection, _ = read_corpus(workdir)
        untitled = [document.doc_id for document in collection.documents if not document.title]
        if untitled:
            raise UserError(
                f"document {untitled[0]} of {collection.name} has no title (and {len(untitled) - 1} more), so titles "
                f"cannot be docids: choose another of docids.schemes ({', '.join(SCHEMES)})"
            )
        titles = load_tokenizer(experiment, workdir).encode_batch([d.title for d in collection.documents])
        return [[tuple(title)] for title in titles]


class CodesScheme:
    """Residual k-means codes of the documents' LSA vectors, written in sentinels."""

    @staticmethod
    def settings(experiment: Experiment) -> list:
        return [experiment.docids.codebooks, experiment.docids.codes]

    @staticmethod
    def propose(experiment: Experiment, workdir: Workdir, fingerprint: str, out: Path) -> Candidates:
        levels, codes = experiment.docids.codebooks, experiment.docids.codes
        sentinels = load_tokenizer(experiment, workdir).sentinels
        if levels * codes > len(sentinels) - _SUFFIX_DIGITS:
            raise UserError(
                f"{levels} codebooks of {codes} codes need {levels * codes + _SUFFIX_DIGITS} extra ids, and "
                f"vocabulary.extra_ids is {len(sentinels)}"
            )
        found = residual_codes(
            load_semantics(workdir).document_vectors, levels=levels, codes=codes, seed=experiment.seed
        )
        ids = sentinels.start + np.arange(levels * codes).reshape(levels, codes)
        np.savez(out / SENTINEL_VECTORS, ids=ids.ravel(), vectors=found.centroids.reshape(levels * codes, -1))
        return [[tuple(int(ids[level, code]) for level, code in enumerate(row))] for row in found.codes]


class FusionScheme:
    """Pseudo-queries from z = e_d + r of the fusion model (Eq. 1-3), trained here on the training pairs."""

    @staticmethod
    def settings(experiment: Experiment) -> list:
        return [experiment.fusion]

    @staticmethod
    def propose(experiment: Experiment, workdir: Workdir, fingerprint: str, out: Path) -> Candidates:
        fusion, examples = experiment.fusion, load_examples(workdir)
        tokenizer = load_tokenizer(experiment, workdir)
        model = Fusion(model_config(fusion.model, tokenizer.size))
        batches = PairBatches(
            queries=examples["queries"],
            pseudo=examples["pseudo"],
            documents=examples["documents"],
            pairs=fusion.pairs,
            document_length=fusion.document_length,
            query_length=experiment.docids.max_length + 1,  # and EOS
            eos=EOS_ID,
            seed=experiment.seed,
        )
        plan = Plan(
            label="fusion docids",
            loss=partial(fusion_loss, model=model, objective=fusion.objective),
            batches=batches,
            optimiser=adam(**vars(fusion.optimiser)),
            steps=fusion.optimiser.steps,
            seed=experiment.seed,
            checkpoint_seconds=experiment.retrieval.checkpoint_seconds,
        )
        batch = batches(0)
        params = model.init(jax.random.key(experiment.seed), batch["document_tokens"], batch["query_tokens"])["params"]
        if fusion.model.lsa_start:
            params = start_values(params, model.config, workdir)
        checkpoints = workdir.checkpoints(f"fusion-{fingerprint}")
        train(plan, params, checkpoints)
        params, _ = restore_params(checkpoints, params)
        allowed = np.ones(tokenizer.size, bool)
        allowed[[0, 2, *tokenizer.sentinels]] = False  # padding, unknown and what suffixes are made of
        generated = fusion_candidates(
            model,
            params,
            examples["documents"].tokens[:, : fusion.document_length],
            radius=fusion.radius,
            beams=fusion.beams,
            max_length=experiment.docids.max_length + 1,
            allowed=allowed,
            seed=experiment.seed,
        )
        spelled = ([_respell(tokenizer, docid) for docid in docids] for docids in generated)
        return list(track(spelled, len(examples["documents"].tokens), "pseudo-queries"))


def _respell(tokenizer: Tokenizer, docid: Docid) -> Docid:
    """The vocabulary's own spelling of a generated text, so that different docids also read differently."""
    return tuple(tokenizer.encode(tokenizer.decode(docid)))


def model_config(config, vocab_size: int):
    return preset(
        config.preset,
        vocab_size=vocab_size,
        num_encoder_layers=config.num_encoder_layers,
        num_decoder_layers=config.num_decoder_layers,
        dropout_rate=config.dropout_rate,
    )


SCHEMES: dict[str, type] = {"title": TitleScheme, "codes": CodesScheme, "fusion": FusionScheme}
