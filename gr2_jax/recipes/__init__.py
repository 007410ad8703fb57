"""Whole experiments, and changes to them: the quickstart, models from scratch, the paper, overlays."""
