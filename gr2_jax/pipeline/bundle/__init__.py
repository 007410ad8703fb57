"""Bundles: one trained row in a folder of its own, to hand on. `writing` makes one, `opening` searches with it."""
