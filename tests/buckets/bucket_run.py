"""`python bucket_run.py WORKDIR SOURCE`: the small experiment, as one host of a job runs it."""

import sys
from pathlib import Path

from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.hosts import join_processes
from gr2_jax.pipeline.stages import run_experiment

if __name__ == "__main__":
    workdir, source = sys.argv[1:]
    folder = Path(source)
    if not (folder / "qrels.txt").is_file():
        write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    join_processes()
    try:
        run_experiment(over(small_experiment(), folder), workdir)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
