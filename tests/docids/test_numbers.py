import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.docids.hierarchy import digits_needed, random_numbers
from gr2_jax.errors import UserError


@settings(max_examples=50)
@given(count=st.integers(1, 300), base=st.integers(2, 20), seed=st.integers(0, 5))
def test_the_rows_are_the_first_numbers_in_counting_order_once_each(count, base, seed):
    found = random_numbers(count, seed=seed, base=base)
    width = found.shape[1]
    counting = list(itertools.islice(itertools.product(range(base), repeat=width), count))
    assert sorted(map(tuple, found.tolist())) == counting
    assert width == 1 or base ** (width - 1) < count  # no wider than it must be
    assert found.dtype == np.int32


def test_the_order_is_random_and_determined_by_the_seed():
    found = random_numbers(1000, seed=7)
    assert found.shape == (1000, 3)
    numbers = found @ [100, 10, 1]
    assert abs(np.corrcoef(numbers, np.arange(1000))[0, 1]) < 0.1
    assert found.tobytes() == random_numbers(1000, seed=7).tobytes()
    assert (random_numbers(1000, seed=8) != found).any()


@pytest.mark.parametrize(("count", "width"), [(0, 1), (1, 1), (10, 1), (11, 2), (10**15, 15), (10**15 + 1, 16)])
def test_the_width_is_exact_where_logarithms_would_round(count, width):
    assert digits_needed(count, base=10) == width


@pytest.mark.parametrize("base", [1, 0, -3])
def test_refuses_a_base_below_two(base):
    with pytest.raises(UserError, match=rf"^numbers are written in a base of 2 or more, not {base}$"):
        random_numbers(5, seed=0, base=base)
