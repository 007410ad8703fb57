"""Planning for pods: the real programs, compiled ahead of time for chips that are not here."""
