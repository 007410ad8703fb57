from hypothesis import settings


def test_every_test_draws_the_same_examples_each_time():
    assert settings().derandomize
    assert settings().deadline is None
