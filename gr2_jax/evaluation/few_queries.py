"""Means of few queries: what to say of them."""

ENOUGH = 30
"""Test queries from which on a mean needs no warning; of 30 values that spread as nDCG's do, by about .3, its standard
error is about .05."""


def rough_means(queries: int) -> str | None:
    """A line for below a table whose measures are means of so many queries; None where they are enough."""
    if queries >= ENOUGH:
        return None
    many = f"{queries} {'query' if queries == 1 else 'queries'}"
    return (
        f"the means of {many} are rough: as many other queries would give other means, and perhaps another best row; "
        "small differences say nothing"
    )
