"""A checkpoint is restored completely or not at all."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gr2_jax.errors import UserError
from gr2_jax.training.checkpoints import Checkpoints, restore_params

OPTIMISER = optax.adamw(0.1)


def _state(seed):
    rng = np.random.default_rng(seed)
    params = {"layer": {"kernel": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)}, "b": jnp.zeros(2, jnp.bfloat16)}
    gradients = jax.tree.map(jnp.ones_like, params)
    return params, OPTIMISER.update(gradients, OPTIMISER.init(params), params)[1]


def _assert_equal(tree, other):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, tree, other)
    assert jax.tree.map(lambda x: x.dtype, tree) == jax.tree.map(lambda x: x.dtype, other)


def _meta(step):
    return {"step": step, "seconds": 0.1 * step, "parts": {"mgcc": 1 / 3}}


@pytest.fixture
def directory(tmp_path):
    """Three saves: steps 20, 40 and 60 of states 1, 2 and 3."""
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2, 3):
        checkpoints.save(20 * number, *_state(number), _meta(20 * number))
    checkpoints.close()
    return tmp_path


def _newest(directory):
    checkpoints = Checkpoints(directory)
    found = checkpoints.latest_step(), checkpoints.restore(*_state(0))
    checkpoints.close()
    return found


def test_the_newest_is_restored_exactly_and_two_are_kept(directory):
    step, (params, opt_state, meta) = _newest(directory)
    assert step == 60
    _assert_equal((params, opt_state), _state(3))
    assert meta == _meta(60)
    assert {path.name for path in directory.iterdir()} == {"40", "60"}


@pytest.mark.parametrize("template", [lambda x: x, np.asarray, lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)])
def test_parameters_alone(directory, template):
    params, meta = restore_params(directory, jax.tree.map(template, _state(0)[0]))
    _assert_equal(params, _state(3)[0])
    assert meta == _meta(60)


def test_parameters_need_nothing_else(directory):
    shutil.rmtree(directory / "60" / "opt_state")
    _assert_equal(restore_params(directory, _state(0)[0])[0], _state(3)[0])


def test_an_interrupted_save_is_ignored(directory):
    """Orbax writes under a temporary name and renames the whole step, so a killed save never leaves a step,
    and does not block saving that step again."""
    shutil.copytree(directory / "60", directory / "80.orbax-checkpoint-tmp")
    shutil.rmtree(directory / "80.orbax-checkpoint-tmp" / "opt_state")
    step, (params, _, meta) = _newest(directory)
    assert (step, meta["step"]) == (60, 60)
    _assert_equal(params, _state(3)[0])
    assert restore_params(directory, _state(0)[0])[1]["step"] == 60
    checkpoints = Checkpoints(directory)
    checkpoints.save(80, *_state(4), _meta(80))
    checkpoints.close()
    step, (params, _, _) = _newest(directory)
    assert step == 80
    _assert_equal(params, _state(4)[0])


@pytest.mark.parametrize("item", ["params", "opt_state", "meta"])
def test_a_damaged_newest_step_falls_back_to_the_previous(directory, item, capsys):
    """An item of a finished step is lost, as on a failing disk."""
    shutil.rmtree(directory / "60" / item)
    step, (params, opt_state, meta) = _newest(directory)
    assert "checkpoint 60 is unreadable and is deleted; resuming from step 40" in capsys.readouterr().err
    assert (step, meta) == (60, _meta(40))  # the newest step, and the step restored in its place
    _assert_equal((params, opt_state), _state(2))
    assert {path.name for path in directory.iterdir()} == {"40"}


def test_a_truncated_newest_step_falls_back_to_the_previous(directory, capsys):
    for path in (directory / "60" / "params" / "d").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, (params, _, meta) = _newest(directory)
    assert meta == _meta(40)
    _assert_equal(params, _state(2)[0])
    assert "checkpoint 60 is unreadable" in capsys.readouterr().err


def test_if_none_is_readable_none_is_deleted(directory):
    for step in ("40", "60"):
        shutil.rmtree(directory / step / "params")
    with pytest.raises(UserError, match="steps 60, 40"):
        _newest(directory)
    assert {path.name for path in directory.iterdir()} == {"40", "60"}


def test_the_best_is_kept_beside_the_newest(tmp_path):
    with Checkpoints(tmp_path, best="nDCG@20") as checkpoints:
        for step, score in ((20, 0.2), (40, 0.4), (60, 0.1), (80, None), (100, 0.3)):
            scores = None if score is None else {"nDCG@20": score}
            checkpoints.save(step, *_state(1), _meta(step), scores)
    assert {path.name for path in tmp_path.iterdir()} == {"40", "80", "100"}


def test_a_background_save_keeps_the_values_of_its_call(tmp_path):
    """The step donates its arguments: their memory is overwritten while a thread still saves the old values."""
    update = jax.jit(lambda x: jax.tree.map(lambda v: v + 1, x), donate_argnums=0)
    state = {"w": jnp.zeros((512, 1024), jnp.float32)}
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(1, 6):
            state = update(state)
            if step == 3:
                checkpoints.save(step, state, {"count": jnp.zeros(())}, _meta(step))
    found = restore_params(tmp_path, state)[0]
    np.testing.assert_array_equal(found["w"], 3.0)


def test_cut_array_data_is_an_error(directory):
    for path in (directory / "60" / "params" / "d").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"60 is damaged: .*OUT_OF_RANGE.*; to train it again, delete"):
        restore_params(directory, _state(0)[0])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # orbax leaves a coroutine unawaited
def test_another_shape_is_an_error(directory):
    params = _state(0)[0] | {"b": jnp.zeros(3, jnp.bfloat16)}
    with pytest.raises(UserError, match=r"60 is damaged: .*not compatible with the stored shape"):
        restore_params(directory, params)


def test_no_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint in .*nowhere: train first"):
        restore_params(tmp_path / "nowhere", {})
    with pytest.raises(UserError, match="no complete checkpoint in"):
        restore_params(tmp_path, {})
    assert not (tmp_path / "nowhere").exists()
    checkpoints = Checkpoints(tmp_path / "new" / "run")
    assert checkpoints.latest_step() is None
    checkpoints.close()
