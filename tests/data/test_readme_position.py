"""The example of reading a batch, in the README of the data, on files of the same shape."""

import re
from pathlib import Path

from gr2_jax.data.example_files import TokenisedExample, write_example_files

README = (Path(__file__).parents[2] / "gr2_jax" / "data" / "README.md").read_text()


def test_the_example_runs_as_it_stands(tmp_path, monkeypatch):
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "hosts=4" in block)
    for name in ("0-pairs", "0-titles"):
        examples = [TokenisedExample([5 + i, 7], [i], [4], [[9, 1]]) for i in range(30)]
        write_example_files(tmp_path / "runs/wikipedia-small/examples" / name / "files", examples, shards=2)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert names["batch"]["query_tokens"].shape == (4, 32)
    assert names["batch"]["docid_tokens"].shape == (4, 4, 2)
