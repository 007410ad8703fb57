"""seqio tasks, mixtures, converters, offline caches and TFDS data sets, for this trainer and for others."""
