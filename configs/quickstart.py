"""The quickstart: generative retrieval over the API documentation of numpy, scipy and jax, from scratch.

gr2 run configs/quickstart.py     the same as `gr2 quickstart`
Hardware: two CPU cores, under 6 GB. Time and scores: README.md and tests/benchmarks/RESULTS.md.
"""

from gr2_jax.recipes.quickstart import DEFAULT

experiment = DEFAULT
