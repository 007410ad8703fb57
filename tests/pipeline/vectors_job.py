"""`python vectors_job.py WORKDIR CORPUS ENCODER [fail]`: makes the vectors of a trained run's rows in pieces, as one
process of a job, and prints the pieces that it makes; told to fail, host 1 finds its disk full at its second piece."""

import sys
from pathlib import Path

import pytest
from test_vector_pieces import experiment_of, in_small_pieces

from gr2_jax.errors import UserError
from gr2_jax.hosts import join_processes, process_index
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.vector_pieces import VectorPiece


def main(workdir, corpus, encoder, *words):
    join_processes()
    write, made = VectorPiece.write, []

    def noting(piece, out):
        if words == ("fail",) and process_index() == 1 and made:
            raise UserError("cannot write there: No space left on device")
        write(piece, out)
        made.append(piece.path)
        print(f"{piece.path.parents[1].name} {piece.start}", flush=True)

    VectorPiece.write = noting
    run = Run(experiment_of(Path(corpus), Path(encoder)), Path(workdir))
    run.resume_record()
    for row in run.rows:
        row.train(run)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        in_small_pieces(patch)
        try:
            main(*sys.argv[1:])
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
