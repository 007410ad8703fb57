"""`gr2 wikipedia`: its arguments, and the table that it prints."""

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "corpus" / "wikipedia"))
from synthetic_wiki import write_dump

from gr2_jax.commands import wikipedia as command
from gr2_jax.errors import UserError

pytest.importorskip("apache_beam")


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(*parser.parse_known_args([str(argument) for argument in arguments]))


def test_builds_prints_counts_and_passes_the_rest_to_beam(tmp_path, capsys):
    dump, output = write_dump(tmp_path / "small.xml.bz2"), tmp_path / "out"
    arguments = (dump, "--output", output, "--shards", 1, "--other-links", 2, "--direct_num_workers=1")
    assert run(*arguments) == 0
    printed = capsys.readouterr()
    rows = dict(line.rsplit("  ", 1) for line in printed.out.splitlines() if "  " in line)
    counts = {name.strip(): int(value.replace(",", "")) for name, value in rows.items()}
    assert counts["pages"] == 19
    assert counts["pairs of grade 3, See also"] == 4
    assert counts["links left out: missing"] == 1
    assert "WARNING" not in printed.err
    assert run(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["options"]["other_links"] == 2


def test_what_beam_does_not_know_is_refused_before_anything_is_written(tmp_path):
    dump, output = write_dump(tmp_path / "small.xml.bz2"), tmp_path / "out"
    with pytest.raises(UserError, match="--sead"):
        run(dump, "--output", output, "--sead", "3")
    with pytest.raises(UserError, match="direct_num_workers"):
        run(dump, "--output", output, "--direct_num_workers=many")
    assert not output.exists()
