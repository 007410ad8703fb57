"""Our beam search over our T5 against transformers' `generate` in torch: the same sequences with the same scores."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.decoding import beam_search
from gr2_jax.models import T5, empty_cache, load_hf_t5

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY = 64
BEAMS = 20
LENGTH = 8
EOS = 1
BANNED = [0, 2, 7]
TOKENS = np.random.default_rng(1).integers(2, VOCABULARY, (5, 9))
for row, real in enumerate((9, 6, 4, 2, 1)):
    TOKENS[row, real - 1], TOKENS[row, real:] = EOS, 0
RULES = [(penalty, stopping) for penalty in (0.0, 1.0) for stopping in ("never", False, True)]


def random_model(version):
    """A torch T5 whose sequences end at all lengths; with random weights an end would be as rare as any other token."""
    untied = version == "t5-1.1"
    seed, spread, sharpness, push = (4, 0.3, 0.5, 6.0) if untied else (2, 0.45, 2.0, 10.0)
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=4,
        d_ff=32,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu" if untied else "relu",
        tie_word_embeddings=not untied,
        decoder_start_token_id=0,
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    if untied:  # transformers 5 creates every T5 tied
        model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 16))
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 2 and len(value) != VOCABULARY:
                value.normal_(std=spread)
        model.decoder.final_layer_norm.weight.mul_(sharpness)
        tokens = torch.tensor(TOKENS)
        words = torch.randint(2, VOCABULARY, (len(TOKENS), LENGTH))
        out = model(tokens, attention_mask=tokens != 0, decoder_input_ids=words, output_hidden_states=True)
        mean = out.decoder_hidden_states[-1].mean((0, 1))
        model.lm_head.weight[EOS] += push * mean / mean.norm()
    return model


@pytest.fixture(scope="module", params=["t5-1.0", "t5-1.1"])
def peer(request, tmp_path_factory):
    """Torch's model, and what our search needs from the same file: config, parameters, encoded sources."""
    model, directory = random_model(request.param), tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory, safe_serialization=True)
    config, params = load_hf_t5(directory)
    apply, tokens = partial(T5(config).apply, {"params": params}), jnp.asarray(TOKENS)
    memory = jax.jit(lambda: apply(apply(tokens, method="encode"), tokens != 0, method="memory"))()
    return model, partial(search, config, params, memory)


@partial(jax.jit, static_argnames=("config", "beams", "length_penalty", "early_stopping"))
def search(config, params, memory, *, beams, length_penalty=0.0, early_stopping="never", banned=None):
    def step(last, position, cache):
        apply = partial(T5(config).apply, {"params": params})
        states, cache = apply(last, position, cache, memory, method="decode_step")
        return apply(states, method="logits"), cache

    return beam_search(
        step,
        empty_cache(config, len(TOKENS), 1, LENGTH),
        batch=len(TOKENS),
        beams=beams,
        max_length=LENGTH,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        banned=banned,
    )


def generate(model, **options):
    """Transformers' output, and its sequences [B, beams, LENGTH] without the start token, 0 after the end token."""
    tokens = torch.tensor(TOKENS)
    out = model.generate(
        tokens,
        attention_mask=tokens != 0,
        max_new_tokens=LENGTH,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    sequences = np.zeros((len(out.sequences), LENGTH), int)
    sequences[:, : out.sequences.shape[1] - 1] = out.sequences[:, 1:]
    before_end = np.cumsum(sequences == EOS, axis=1) - (sequences == EOS) == 0
    sequences *= before_end  # transformers pads beams with the end token where the padding id is 0
    return out, sequences.reshape(len(TOKENS), -1, LENGTH), before_end


def beams(model, **options):
    out, sequences, _ = generate(model, num_beams=BEAMS, num_return_sequences=BEAMS, **options)
    return sequences, out.sequences_scores.reshape(len(TOKENS), BEAMS)


@pytest.mark.parametrize(("length_penalty", "early_stopping"), RULES)
def test_20_beams(peer, length_penalty, early_stopping):
    model, ours = peer
    sequences, scores = beams(model, length_penalty=length_penalty, early_stopping=early_stopping)
    found, found_scores = ours(beams=BEAMS, length_penalty=length_penalty, early_stopping=early_stopping)
    np.testing.assert_array_equal(found, sequences)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5, rtol=1e-5)


def test_the_rules_differ_on_these_models_and_sequences_end_at_all_lengths(peer):
    """The assumptions of the test above."""
    model, _ = peer
    results = {rule: beams(model, length_penalty=rule[0], early_stopping=rule[1])[0] for rule in RULES}
    assert len({result.tobytes() for result in results.values()}) == len(RULES) - 1  # "never" is False at penalty 0
    lengths = [(result != 0).sum(axis=-1).ravel() for result in results.values()]
    assert set(np.concatenate(lengths)) == set(range(1, LENGTH + 1))


def test_20_beams_with_banned_tokens(peer):
    model, ours = peer
    sequences, scores = beams(model, length_penalty=0.0, early_stopping="never", suppress_tokens=BANNED)
    found, found_scores = ours(beams=BEAMS, banned=np.isin(np.arange(VOCABULARY), BANNED))
    np.testing.assert_array_equal(found, sequences)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5, rtol=1e-5)
    assert not np.isin(sequences[sequences > 0], BANNED).any()


def test_greedy_is_one_beam(peer):
    model, ours = peer
    out, sequences, before_end = generate(model, num_beams=1)
    scores = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True).numpy()
    found, found_scores = ours(beams=1)
    np.testing.assert_array_equal(found, sequences)
    expected = np.where(before_end[:, : scores.shape[1]], scores, 0).sum(axis=1)
    np.testing.assert_allclose(found_scores[:, 0], expected, atol=1e-5, rtol=1e-5)
    assert len(set((sequences != 0).sum(axis=-1).ravel())) > 1
