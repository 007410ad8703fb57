from functools import cache, partial

import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.losses import mgcc_loss, supervised_contrastive_loss
from gr2_jax.losses.mgcc import constrain

L = 3
jitted = jax.jit(mgcc_loss, static_argnames=("num_grades", "penalty", "constraint", "similarity"))
GIVEN = (0.3, 0.7, 2.0)
OPTIONS = [
    {"penalty": penalty, "constraint": constraint, "similarity": similarity, "reduction": reduction}
    for penalty, constraint, similarity, reduction in [
        ("rank", "running_max", "cosine", "mean"),
        ("rank", "running_max", "dot", "sum"),
        ("grade", "running_max", "cosine", "sum"),
        (GIVEN, "running_max", "dot", "mean"),
        ("rank", "literal", "cosine", "mean"),
        ("grade", "literal", "dot", "sum"),
        ("rank", "off", "cosine", "mean"),
        (GIVEN, "off", "dot", "sum"),
    ]
]


@cache
def compiled(options):
    """One compilation per set of options: every seed has the same shapes."""
    keywords = dict(options)
    if not isinstance(keywords["penalty"], str):
        keywords["penalty"] = jnp.array(keywords["penalty"])

    def loss(queries, docids, grades, mask, temperature):
        return mgcc_loss(queries, docids, grades, num_grades=L, docid_mask=mask, temperature=temperature, **keywords)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))


DEFAULTS = tuple(sorted(OPTIONS[0].items()))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_value_and_gradient_match_the_float64_loop(graded_batch, options, seed):
    batch, temperature = graded_batch(seed), (0.1, 0.5)[seed % 2]
    expected = partial(
        reference.mgcc, grades=batch.grades, num_grades=L, docid_mask=batch.mask, temperature=temperature, **options
    )
    value, gradients = compiled(tuple(sorted(options.items())))(
        batch.queries, batch.docids, batch.grades, batch.mask, temperature
    )
    np.testing.assert_allclose(value, expected(batch.queries, batch.docids), rtol=2e-5, atol=1e-6)
    numeric = reference.numeric_gradients(expected, batch.queries, batch.docids)
    for ours, theirs in zip(gradients, numeric, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_a_worked_example():
    # sim/τ of the one query: grade 2 at 0, grade 1 at log 2, a negative at 0. The pair losses are log 4 and log 2;
    # the constraint lifts the second to log 4.
    query, docids = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0], [np.log(2), 0.0], [0.0, 3.0]])
    loss = partial(jitted, query, docids, jnp.array([[2, 1, 0]]), num_grades=2, similarity="dot", temperature=1.0)
    np.testing.assert_allclose(loss(), (np.log(4) + np.log(4) / 4) / 2, rtol=1e-6)
    np.testing.assert_allclose(loss(constraint="off"), (np.log(4) + np.log(2) / 4) / 2, rtol=1e-6)
    # The letter takes the larger log-probability for the lower grade, here its own, and weighs grade 2 with 1/4.
    literal = (np.log(4) / 4 + np.log(2)) / 2
    np.testing.assert_allclose(loss(constraint="literal", penalty="grade"), literal, rtol=1e-6)


@pytest.mark.parametrize("num_grades", [2, 5])
def test_the_penalty_follows_the_scale_and_not_the_batch(graded_batch, num_grades):
    batch = graded_batch(1)
    top, next_best = np.where(batch.grades > 0, num_grades, 0), np.where(batch.grades > 0, num_grades - 1, 0)
    best, second = (jitted(batch.queries, batch.docids, g, num_grades=num_grades) for g in (top, next_best))
    np.testing.assert_allclose(second, best / 4, rtol=1e-6)


@pytest.mark.parametrize("constraint", ["running_max", "literal", "off"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_one_grade_is_supervised_contrastive_exactly(graded_batch, constraint, similarity):
    batch = graded_batch(1)
    grades, options = np.minimum(batch.grades, 1), {"similarity": similarity, "docid_mask": batch.mask}

    def graded(queries, docids):
        return mgcc_loss(queries, docids, grades, num_grades=1, constraint=constraint, **options)

    def contrastive(queries, docids):
        return supervised_contrastive_loss(queries, docids, grades > 0, **options)

    ours, theirs = (jax.value_and_grad(f, argnums=(0, 1))(batch.queries, batch.docids) for f in (graded, contrastive))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert ours[0] > 0


@pytest.mark.parametrize("seed", range(10))
def test_no_higher_grade_has_a_larger_final_pair_loss(graded_batch, seed):
    grades, num_grades = graded_batch(seed).grades, L
    pair_losses = np.random.default_rng(seed).exponential(size=grades.shape).astype(np.float32)
    final = np.asarray(constrain(pair_losses, grades, num_grades, "running_max"))
    for losses, judged in zip(final, grades, strict=True):
        for l in range(1, num_grades):
            higher = losses[judged > l]
            assert not higher.size or np.all(losses[judged == l] >= higher.max())
    np.testing.assert_array_equal(final[grades == 0], pair_losses[grades == 0])
    assert np.any(final > pair_losses)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_queries_and_docids_changes_nothing(graded_batch, seed):
    batch, rng = graded_batch(seed), np.random.default_rng(seed)
    q, n = rng.permutation(len(batch.queries)), rng.permutation(len(batch.docids))
    loss = compiled(DEFAULTS)
    value, gradients = loss(batch.queries, batch.docids, batch.grades, batch.mask, 0.1)
    moved, moved_gradients = loss(batch.queries[q], batch.docids[n], batch.grades[q][:, n], batch.mask[n], 0.1)
    np.testing.assert_allclose(moved, value, rtol=1e-6)
    np.testing.assert_allclose(moved_gradients[0], gradients[0][q], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved_gradients[1], gradients[1][n], rtol=1e-4, atol=1e-5)


def test_a_masked_docid_is_as_if_it_were_not_there(graded_batch):
    batch = graded_batch(3)
    kept = batch.mask
    assert not kept.all()
    with_mask = jitted(batch.queries, batch.docids, batch.grades, num_grades=L, docid_mask=kept)
    without = jitted(batch.queries, batch.docids[kept], batch.grades[:, kept], num_grades=L)
    np.testing.assert_allclose(with_mask, without, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_more_similar_docid_never_has_a_larger_loss_of_its_own(seed):
    # Before the constraint: where that binds, the loss of a pair IS a higher grade's, which then grows.
    similarities = np.random.default_rng(seed).normal(size=6).astype(np.float32)
    raised = similarities + np.linspace(0, 3, 8, dtype=np.float32)[:, None] * (np.arange(6) == 2)
    # One query that is the unit vector, so that a docid's coordinate is its similarity.
    grades = jnp.array([[0, 0, 1, 0, 0, 0]])
    losses = [
        float(jitted(jnp.ones((1, 1)), s[:, None], grades, num_grades=2, similarity="dot", constraint="off"))
        for s in raised
    ]
    assert np.all(np.diff(losses) <= 1e-6)  # rounding, where the loss is almost 0
    assert losses[-1] < losses[0]


def finite(value, gradients):
    return np.isfinite(value) and all(np.all(np.isfinite(g)) for g in gradients)


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[4], OPTIONS[5]], ids=["cosine", "literal", "dot"])
def test_degenerate_batches_stay_finite(graded_batch, options):
    batch, loss = graded_batch(1), compiled(tuple(sorted(options.items())))
    same_queries, same_docids = np.ones_like(batch.queries), np.ones_like(batch.docids)
    nothing, everything = np.zeros_like(batch.grades), np.full_like(batch.grades, L)
    unmasked = np.ones_like(batch.mask)

    value, gradients = loss(batch.queries, batch.docids, nothing, unmasked, 0.1)
    assert value == 0
    assert not any(np.any(g) for g in gradients)
    value, gradients = loss(batch.queries, batch.docids, batch.grades, ~unmasked, 0.1)
    assert value == 0
    assert not any(np.any(g) for g in gradients)
    for queries, docids in [(same_queries, same_docids), (0 * same_queries, 0 * same_docids)]:
        for grades in (batch.grades, everything):
            assert finite(*loss(queries, docids, grades, unmasked, 0.1))


def test_identical_embeddings_give_log_n(graded_batch):
    batch = graded_batch(1)
    value, _ = compiled(DEFAULTS)(
        np.ones_like(batch.queries), np.ones_like(batch.docids), np.full_like(batch.grades, L), np.ones(7, bool), 0.1
    )
    np.testing.assert_allclose(value, np.log(7), rtol=1e-6)


def test_huge_logits(graded_batch):
    batch = graded_batch(1)
    queries, docids = 100 * batch.queries, 100 * batch.docids
    value, gradients = compiled(tuple(sorted(OPTIONS[1].items())))(queries, docids, batch.grades, batch.mask, 0.1)
    expected = reference.mgcc(queries, docids, batch.grades, num_grades=L, docid_mask=batch.mask, **OPTIONS[1])
    assert expected > 1e5
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert finite(value, gradients)


def test_bfloat16_inputs_are_computed_in_float32(graded_batch):
    batch = graded_batch(1)
    queries, docids = jnp.bfloat16(batch.queries), jnp.bfloat16(batch.docids)
    value, gradients = compiled(DEFAULTS)(queries, docids, batch.grades, batch.mask, 0.1)
    assert value.dtype == jnp.float32
    assert gradients[0].dtype == jnp.bfloat16
    expected = reference.mgcc(
        np.float32(queries), np.float32(docids), batch.grades, num_grades=L, docid_mask=batch.mask
    )
    np.testing.assert_allclose(value, expected, rtol=2e-5)


def test_one_query_with_one_docid_has_no_loss():
    assert jitted(jnp.ones((1, 4)), jnp.ones((1, 4)), jnp.array([[2]]), num_grades=3) == 0


def test_vmap_equals_one_batch_after_the_other(graded_batch):
    batches = [graded_batch(seed) for seed in (1, 3)]
    arrays = [np.stack([getattr(b, name) for b in batches]) for name in ("queries", "docids", "grades")]
    together = jax.vmap(partial(jitted, num_grades=L))(*arrays)
    apart = [jitted(b.queries, b.docids, b.grades, num_grades=L) for b in batches]
    np.testing.assert_allclose(together, apart, rtol=1e-6)


def test_a_grade_outside_the_scale_is_seen(graded_batch):
    batch = graded_batch(1)
    assert np.isnan(jitted(batch.queries, batch.docids, batch.grades + L, num_grades=L))


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"penalty": "ranks"}, "did you mean 'rank'"),
        ({"penalty": jnp.ones(2)}, r"penalty has shape \(2,\), but the other arguments need \(3,\)"),
        ({"constraint": "runing_max"}, "did you mean 'running_max'"),
        ({"similarity": "cos"}, "did you mean 'cosine'"),
        ({"reduction": "none"}, "reduction='none' is not known"),
        ({"docid_mask": jnp.ones(3, bool)}, r"docid_mask has shape \(3,\)"),
        ({"num_grades": 0}, "num_grades=0"),
    ],
)
def test_a_wrong_argument_is_one_clear_sentence(graded_batch, keywords, sentence):
    batch = graded_batch(0)
    with pytest.raises(UserError, match=sentence):
        mgcc_loss(batch.queries, batch.docids, batch.grades, **({"num_grades": L} | keywords))


def test_grades_that_would_broadcast_are_refused(graded_batch):
    batch = graded_batch(0)
    with pytest.raises(UserError, match=r"need \(3, 7\)"):
        mgcc_loss(batch.queries, batch.docids, batch.grades[0], num_grades=L)
