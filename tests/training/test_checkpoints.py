"""A checkpoint is restored completely or not at all."""

import contextlib
import errno
import logging
import os
import resource
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models.orbax_border import silence
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


def test_a_step_without_the_score_counts_as_the_worst(tmp_path):
    """As those of a training that was begun when another score was asked for."""
    with Checkpoints(tmp_path, best="MRR@3") as checkpoints:
        checkpoints.save(20, *_state(1), _meta(20), {"MRR@3": 0.9})
    with Checkpoints(tmp_path, best="nDCG@20") as checkpoints:
        for step, score in ((40, 0.3), (60, 0.2), (80, 0.1)):
            checkpoints.save(step, *_state(1), _meta(step), {"nDCG@20": score})
    assert {path.name for path in tmp_path.iterdir()} == {"40", "60", "80"}


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


@contextlib.contextmanager
def _full_disk():
    """A limit on the size of files stands for a full disk: the same writes fail, with an error of the same kind."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _large(seed):
    return {"w": jnp.asarray(np.random.default_rng(seed).normal(size=(64, 64)), jnp.float32)}


@pytest.mark.parametrize("last", ["wait", "close"])
def test_a_full_disk_is_one_sentence_and_with_room_the_training_goes_on(tmp_path, last, capfd):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(20, _large(1), {"count": jnp.zeros(())}, _meta(20))
    checkpoints = Checkpoints(tmp_path)

    def save():
        checkpoints.save(40, _large(2), {"count": jnp.ones(())}, _meta(40))
        getattr(checkpoints, last)()

    with pytest.raises(UserError, match=rf"^cannot write {tmp_path}: {os.strerror(errno.EFBIG)}$"), _full_disk():
        save()
    if last == "wait":
        checkpoints.close()
    assert capfd.readouterr().err == ""
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 20
        params, _, meta = checkpoints.restore(_large(0), {"count": jnp.zeros(())})
        _assert_equal(params, _large(1))
        assert meta == _meta(20)
        checkpoints.save(40, _large(2), {"count": jnp.ones(())}, _meta(40))
    _assert_equal(restore_params(tmp_path, _large(0))[0], _large(2))


def test_an_error_on_its_way_out_is_not_replaced_by_that_of_the_disk(tmp_path):
    def fail():
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(20, _large(1), {"count": jnp.zeros(())}, _meta(20))
            raise ValueError("first")

    with _full_disk(), pytest.raises(ValueError, match="first"):
        fail()


def test_a_training_on_a_full_disk_ends_with_one_sentence(tmp_path):
    """As a program: nothing comes after the sentence, from threads or as the interpreter leaves."""
    program = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from gr2_jax import cli; from gr2_jax.training.checkpoints import Checkpoints\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, -1))\n"
        "def run(_):\n"
        "    with Checkpoints(Path(sys.argv[1])) as checkpoints:\n"
        "        tree = {str(i): np.random.default_rng(i).normal(size=(32, 32)) for i in range(8)}\n"
        "        checkpoints.save(20, tree, tree, {})\n"
        "cli._run = run\ncli.main([])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], capture_output=True, text=True)
    assert done.stderr == f"gr2: cannot write {tmp_path / 'run'}: {os.strerror(errno.EFBIG)}\n"
    assert done.returncode == 2


def test_a_clock_that_goes_backwards_changes_no_order(tmp_path, monkeypatch):
    now = iter(range(2_000_000_000, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    with Checkpoints(tmp_path) as checkpoints:
        for number in (1, 2, 3):
            checkpoints.save(20 * number, *_state(number), _meta(20 * number))
            checkpoints.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"40", "60"}
    step, (params, _, meta) = _newest(tmp_path)
    assert (step, meta) == (60, _meta(60))
    _assert_equal(params, _state(3)[0])


def _flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x04
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [lambda _: b"", lambda content: content[: len(content) // 2], None])
def test_any_file_of_a_checkpoint_that_is_damaged_is_one_sentence(directory, capfd, damage):
    """And nothing on the terminal."""
    files = [path for name in ("params", "meta") for path in (directory / "60" / name).rglob("*") if path.is_file()]
    assert len(files) > 6
    for path in files:
        content = path.read_bytes()
        if damage is None:
            _flip(path)
        else:
            path.write_bytes(damage(content))
        with pytest.raises(UserError) as raised:
            restore_params(directory, _state(0)[0])
        assert str(directory) in str(raised.value)
        assert "\n" not in str(raised.value)
        path.write_bytes(content)
    for name in ("_CHECKPOINT_METADATA", "checksums.json"):
        path = directory / "60" / name
        content = path.read_bytes()
        path.write_bytes(damage(content) if damage else bytes(len(content)))
        with contextlib.suppress(UserError):
            _assert_equal(restore_params(directory, _state(0)[0])[0], _state(3)[0])
        path.write_bytes(content)
    assert capfd.readouterr().err == ""
    _assert_equal(restore_params(directory, _state(0)[0])[0], _state(3)[0])


def test_a_flipped_bit_of_the_arrays_is_noticed(directory, capsys):
    """Orbax alone reads it as other numbers. A training falls back to the step before, a search is refused."""
    _flip(max((directory / "60" / "params").rglob("d/*"), key=lambda path: path.stat().st_size))
    said = r"60 is damaged: params/\S+ was changed after it was written; to train it again, delete"
    with pytest.raises(UserError, match=said):
        restore_params(directory, _state(0)[0])
    _flip(max((directory / "60" / "params").rglob("d/*"), key=lambda path: path.stat().st_size))
    restore_params(directory, _state(0)[0])
    _flip(max((directory / "60" / "opt_state").rglob("d/*"), key=lambda path: path.stat().st_size))
    restore_params(directory, _state(0)[0])  # which it does not read
    _, found = _newest(directory)
    assert "checkpoint 60 is unreadable and is deleted; resuming from step 40" in capsys.readouterr().err
    _assert_equal(found[:2], _state(2))


def test_cut_array_data_without_checksums_is_an_error(directory):
    """As an earlier version wrote it."""
    (directory / "60" / "checksums.json").unlink()
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


def test_a_device_without_room_or_a_process_that_is_gone_is_no_fault_of_the_files(directory, monkeypatch):
    """A damaged checkpoint is deleted, or one is advised to."""

    def refuse(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", refuse)
    for restore in (lambda: restore_params(directory, _state(0)[0]), lambda: _newest(directory)):
        with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
            restore()
    assert {path.name for path in directory.iterdir()} == {"40", "60"}


def test_what_orbax_and_its_storage_log_of_a_failure_is_not_shown_and_the_rest_is(caplog):
    """The failure is raised as well. asyncio logs it again when a future that nobody waits for is deleted."""
    silence()
    log = logging.getLogger("asyncio")
    log.error("Future exception was never retrieved\nfuture: <... [tensorstore_spec='{}']>")
    log.error("Task was destroyed but it is pending! %s", f"file {os.sep}orbax{os.sep}x.py")
    log.error("another program's future")
    assert [record.getMessage() for record in caplog.records] == ["another program's future"]
