"""What the report says: each module is one part of the page, made of what a run left on disk and nothing else."""
