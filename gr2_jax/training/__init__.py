"""Training: what each stage minimises, the resumable loop over a sharded step, and its checkpoints."""
