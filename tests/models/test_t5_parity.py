"""Our T5 against transformers' in torch, through the files that both read and write."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gr2_jax.models import T5, load_hf_t5, save_hf_t5, stack_layers, unstack_layers

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.array([[5, 9, 31, 7, 3, 1], [8, 2, 1, 0, 0, 0], [30, 30, 4, 1, 0, 0]])
# longer than the bias's exact distances, so that its logarithmic buckets are compared as well
TARGETS = np.random.default_rng(0).integers(2, 40, (3, 14))
TARGETS[1, 9:], TARGETS[2, 4:] = 0, 0


@pytest.fixture(scope="module", params=["t5-1.0", "t5-1.1", "mt5"])
def peer(request, tmp_path_factory):
    torch.manual_seed(0)
    untied = request.param != "t5-1.0"
    kind = "MT5" if request.param == "mt5" else "T5"
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=40,
        d_model=16,
        d_kv=6,
        d_ff=24,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=12,
        feed_forward_proj="gated-gelu" if untied else "relu",
        tie_word_embeddings=not untied,
        decoder_start_token_id=0,
    )
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()
    if untied:  # transformers 5 creates every T5 tied
        model.lm_head.weight = torch.nn.Parameter(torch.randn(40, 16))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" in name:  # all ones would hide a misplaced norm
                value.uniform_(0.5, 1.5)
            elif "relative_attention_bias" in name:
                value.normal_()
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory, safe_serialization=True)
    return model, directory


@pytest.fixture(scope="module")
def forward(peer):
    """Torch's outputs, and its gradients under the names of the parameters."""
    model, _ = peer
    tokens, targets = torch.tensor(TOKENS), torch.tensor(TARGETS)
    labels = targets.masked_fill(targets == 0, -100)
    decoder_inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0))
    model.zero_grad()
    out = model(input_ids=tokens, attention_mask=tokens != 0, decoder_input_ids=decoder_inputs, labels=labels)
    out.loss.backward()
    return out, {name: value.grad.numpy() for name, value in model.named_parameters()}


def _assert_close(ours, theirs, tolerance):
    ours, theirs = np.asarray(ours), theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def _loss(params, module):
    targets = jnp.asarray(TARGETS)
    inputs = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
    log_probs = jax.nn.log_softmax(module.apply({"params": params}, jnp.asarray(TOKENS), inputs))
    picked = jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    return -jnp.sum(picked * (targets != 0)) / jnp.sum(targets != 0)


def test_config_describes_the_weights(peer):
    model, directory = peer
    config, _ = load_hf_t5(directory)
    untied = model.config.feed_forward_proj == "gated-gelu"
    assert config.tie_word_embeddings is not untied
    assert config.feed_forward == model.config.feed_forward_proj
    assert (config.num_encoder_layers, config.num_decoder_layers) == (3, 2)


def test_params_have_the_structure_of_init(peer):
    config, params = load_hf_t5(peer[1])
    tokens = jnp.zeros((1, 2), jnp.int32)
    expected = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)["params"]
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        assert isinstance(ours, np.ndarray)
        assert (ours.shape, ours.dtype) == (theirs.shape, np.float32)


LAYOUTS = {
    "unrolled": {},
    "scanned": {"scan_layers": True},
    "scanned, full remat": {"scan_layers": True, "remat": "full"},
    "unrolled, xla attention": {"attention": "xla"},
}
across_layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def _load(directory, layout):
    config, params = load_hf_t5(directory)
    return dataclasses.replace(config, **layout), stack_layers(params) if "scan_layers" in layout else params


@across_layouts
def test_encoder_states_and_logits(peer, forward, layout):
    config, params = _load(peer[1], layout)
    states = T5(config).apply({"params": params}, jnp.asarray(TOKENS), method="encode")
    inputs = jnp.pad(jnp.asarray(TARGETS)[:, :-1], ((0, 0), (1, 0)))
    logits = T5(config).apply({"params": params}, jnp.asarray(TOKENS), inputs)
    real = TOKENS != 0
    _assert_close(np.asarray(states)[real], forward[0].encoder_last_hidden_state.detach().numpy()[real], 1e-4)
    _assert_close(logits, forward[0].logits, 1e-4)


@across_layouts
def test_loss_and_gradient_of_every_parameter(peer, forward, tmp_path, layout):
    """Saving the gradients as if they were weights puts them under torch's names and shapes."""
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    config, params = _load(peer[1], layout)
    loss, gradients = jax.jit(jax.value_and_grad(_loss), static_argnums=1)(params, T5(config))
    np.testing.assert_allclose(loss, forward[0].loss.item(), rtol=1e-4)
    save_hf_t5(tmp_path, config, unstack_layers(gradients))
    ours = safetensors_numpy.load_file(tmp_path / "model.safetensors")
    assert ours.keys() == forward[1].keys()
    for name, theirs in forward[1].items():
        assert np.abs(theirs).max() > 0, name
        _assert_close(ours[name], theirs, 1e-3)


def test_saving_what_was_loaded_gives_the_same_bytes(peer, tmp_path):
    _, directory = peer
    save_hf_t5(tmp_path, *load_hf_t5(directory))
    assert (tmp_path / "model.safetensors").read_bytes() == (directory / "model.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_transformers_reads_what_we_save(peer, forward, tmp_path):
    save_hf_t5(tmp_path, *load_hf_t5(peer[1]))
    model, info = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    tokens, targets = torch.tensor(TOKENS), torch.tensor(TARGETS)
    out = model.eval()(
        input_ids=tokens, attention_mask=tokens != 0, decoder_input_ids=torch.nn.functional.pad(targets[:, :-1], (1, 0))
    )
    assert torch.equal(out.logits, forward[0].logits)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_weights_are_read_as_float32(peer, tmp_path, kind):
    directory = peer[1]
    flat = traverse_util.flatten_dict(load_hf_t5(directory)[1])
    model = type(peer[0]).from_pretrained(directory)
    model.to(getattr(torch, kind)).save_pretrained(tmp_path)
    rounded = traverse_util.flatten_dict(load_hf_t5(tmp_path)[1])
    for path, value in flat.items():
        np.testing.assert_array_equal(rounded[path], value.astype(jnp.dtype(kind)).astype(np.float32))
