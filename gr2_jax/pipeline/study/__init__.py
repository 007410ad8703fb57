"""Studies: what their points train, their runs, their table and their page."""
