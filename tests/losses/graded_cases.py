"""Random graded batches for hypothesis, and sets of MGCC's options, each compiled once for all its examples."""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import losses_reference as reference
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from gr2_jax.losses import mgcc_loss

B, N, D, L = 3, 7, 4, 3
GIVEN = (0.3, 0.7, 2.0)


# As users compile, see tests/conftest.py.
OPTIMISED = partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
)

few = settings(max_examples=10)
some = settings(max_examples=20)

NAMES = ("penalty", "constraint", "bound", "bound_gradient", "denominator", "similarity", "reduction")
VALUES = (
    ("rank", "grade", "equal", GIVEN, "gain"),
    ("running_max", "literal", "off"),
    ("pair", "grade"),
    (True, False),
    ("batch", "negatives", "lower"),
    ("cosine", "dot"),
    ("mean", "sum"),
)
# Covers every pair of values of any two options; the defaults first.
OPTIONS = [
    dict(zip(NAMES, row, strict=True))
    for row in [
        ("rank", "running_max", "pair", True, "batch", "cosine", "mean"),
        ("grade", "literal", "pair", False, "negatives", "dot", "sum"),
        (GIVEN, "off", "grade", True, "lower", "cosine", "sum"),
        ("equal", "running_max", "grade", False, "lower", "dot", "mean"),
        ("equal", "literal", "grade", True, "negatives", "cosine", "mean"),
        ("grade", "off", "grade", True, "batch", "dot", "mean"),
        ("equal", "off", "pair", False, "batch", "cosine", "sum"),
        (GIVEN, "running_max", "pair", False, "negatives", "dot", "sum"),
        ("rank", "literal", "pair", False, "lower", "dot", "sum"),
        (GIVEN, "literal", "pair", True, "batch", "cosine", "mean"),
        ("rank", "off", "grade", False, "negatives", "cosine", "mean"),
        ("grade", "running_max", "grade", True, "lower", "cosine", "mean"),
        ("gain", "running_max", "pair", True, "lower", "cosine", "mean"),
        ("gain", "literal", "grade", False, "batch", "dot", "sum"),
        ("gain", "off", "pair", True, "negatives", "cosine", "sum"),
    ]
]
SUMS = [options for options in OPTIONS if options["reduction"] == "sum"][:3]


def name(options):
    return "-".join(str(v) for v in options.values())


class GradedBatch(NamedTuple):
    queries: np.ndarray
    docids: np.ndarray
    grades: np.ndarray
    mask: np.ndarray


@st.composite
def graded_batches(draw, num_grades=L, queries=B):
    """Queries with different numbers of positives, empty grades, no positive, no negative; docids masked or not.

    The vectors are normal, so that no two losses tie and the loss has one gradient. They are rounded to float32, so
    that the float64 loops and the float32 code see the same numbers.
    """
    grades_present = st.lists(st.integers(0, num_grades), min_size=1, max_size=6)
    present = [draw(grades_present) for _ in range(queries)]
    kept = draw(st.sampled_from([1.0, 0.7, 0.3, 0.0]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return GradedBatch(
        queries=rng.normal(size=(queries, D)).astype(np.float32),
        docids=rng.normal(size=(N, D)).astype(np.float32),
        grades=np.stack([rng.choice(grades, N) for grades in present]).astype(np.int32),
        mask=rng.random(N) < kept,
    )


def with_few_positives(batch, most):
    """Keeps at most `most` relevant docids per query; all if `most` is None."""
    few = np.cumsum(batch.grades > 0, axis=1) <= (most or N)
    return batch._replace(grades=np.where(few, batch.grades, 0))


@cache
def _compiled(items):
    options = dict(items)
    if not isinstance(options["penalty"], str):
        options["penalty"] = jnp.array(options["penalty"])

    def loss(queries, docids, temperature, grades, mask):
        return mgcc_loss(queries, docids, grades, num_grades=L, docid_mask=mask, temperature=temperature, **options)

    jit = OPTIMISED if options == OPTIONS[0] else jax.jit
    return jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))


def value_and_gradients(batch, options, temperature=0.1):
    """The loss, and its gradients in the queries, the docids and the temperature."""
    function = _compiled(tuple(options.items()))
    # as NumPy arrays, so that using them compiles nothing
    return jax.device_get(function(batch.queries, batch.docids, np.float32(temperature), batch.grades, batch.mask))


def expected_loss(batch, options, temperature=0.1):
    """The float64 loss as a function of queries, docids and temperature; bounds without a gradient are constants."""
    scores = reference.scaled_similarities(
        batch.queries, batch.docids, temperature=temperature, kind=options["similarity"]
    )
    loop = partial(
        reference.mgcc, grades=batch.grades, num_grades=L, docid_mask=batch.mask, unperturbed=scores, **options
    )
    return lambda queries, docids, temperature: loop(queries, docids, temperature=float(temperature))


def assert_values(*functions_and_values):
    """One compilation for a list of losses without arguments."""
    functions, expected = zip(*functions_and_values, strict=True)
    np.testing.assert_allclose(jax.jit(lambda: [f() for f in functions])(), expected, rtol=1e-6)


def assert_gradients(found, function, *arrays, rtol=3e-4, atol=3e-5):
    for ours, numeric in zip(found, reference.numeric_gradients(function, *arrays), strict=True):
        np.testing.assert_allclose(ours, numeric, rtol=rtol, atol=atol)
