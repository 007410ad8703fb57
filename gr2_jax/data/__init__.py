"""From text to batches: the vocabulary, seqio tasks on disk, and batches that are a function of (seed, step)."""
