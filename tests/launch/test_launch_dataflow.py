"""The Wikipedia build on Dataflow: the command, and that `gr2 wikipedia` and Beam know all its options."""

import argparse
import shlex

DUMPS = "gs://b/enwiki-*.xml.bz2"
OPTIONS = ["--project", "p", "--region", "r", "--bucket", "gs://b/"]
BUILD = ["--", DUMPS, "--output", "gs://b/wikipedia", "--query-share", "0.02", "--max_num_workers", "9"]


def test_the_command_is_understood(shell):
    line = shell("dataflow.sh", *OPTIONS, "--image", "i:1", "--dry-run", *BUILD).stdout.splitlines()[0]
    words = shlex.split(line)
    assert words[1:4] == ["-m", "gr2_jax", "wikipedia"]

    from gr2_jax.commands.wikipedia import add_arguments

    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    options, rest = parser.parse_known_args(words[4:])
    assert options.dumps == [DUMPS]
    assert options.output == "gs://b/wikipedia"
    assert options.query_share == 0.02

    from apache_beam.options.pipeline_options import PipelineOptions

    from gr2_jax.corpus.wikipedia.runner import _parse

    known, unknown = _parse(PipelineOptions, rest)
    assert not unknown
    assert (known.runner, known.project, known.region) == ("DataflowRunner", "p", "r")
    assert known.temp_location == "gs://b/beam/temp"
    assert known.sdk_container_image == "i:1"
    assert known.max_num_workers == 9


def test_workers_get_the_package_from_a_file(shell):
    (shell.folder / "gr2.tar.gz").touch()
    shell.pretend("fake")
    shell("dataflow.sh", *OPTIONS, "--package", "gr2.tar.gz", "--python", "fake", *BUILD)
    (call,) = shell.calls()
    assert call.startswith(f"fake -m gr2_jax wikipedia {DUMPS} --output gs://b/wikipedia ")
    assert call.endswith("--extra_package gr2.tar.gz")


def test_what_cannot_work_is_refused_before_anything_runs(shell):
    shell.pretend("fake")
    refused = {
        (): "give --image or --package",
        ("--image", "i", "--package", "p"): "give --image or --package, not both",
        ("--package", "none.tar.gz"): "there is no file none.tar.gz",
        ("--image", "i", "--bucket", "b"): "must begin with gs://",
    }
    for options, said in refused.items():
        assert said in shell("dataflow.sh", *OPTIONS, *options, "--python", "fake", *BUILD, code=2).stderr
    assert not shell.calls()
