"""The stages of a run, each a function from directories to a directory, and the order in which they are done."""
