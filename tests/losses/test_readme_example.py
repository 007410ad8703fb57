"""The example of the loss alone, in the README of the losses, works as described."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[2] / "gr2_jax" / "losses" / "README.md"


def test_the_example_trains():
    code = re.search(r"## The loss alone.*?```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    names = {}
    exec(code, names)  # the README is ours
    queries, docids, weights = (np.asarray(names[n], np.float64) for n in ("queries", "docids", "weights"))
    before = names["mgcc_loss"](queries, docids, names["grades"], num_grades=3)
    assert names["value"] < 0.5 * before
    ranked = np.argsort(-(queries @ weights) @ (docids @ weights).T, axis=1)
    assert np.mean(ranked[:, 0] // 3 == np.arange(32)) > 0.9
