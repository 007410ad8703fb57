"""The judgement files of a folder, and the selection among them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gr2_jax.corpus.qrels import Qrels
from gr2_jax.errors import UserError, nearest


@dataclass(frozen=True)
class JudgementFiles:
    """Judgement files, and whether the user selected them."""

    paths: tuple[Path, ...]
    selected: bool

    @classmethod
    def among(cls, directory: Path, present: Sequence[Path], selection: str) -> "JudgementFiles":
        """Returns the present files that `selection` names, as in `test` or `train+dev`; "" selects all.

        Files are named by `short_name`. Raises UserError if there are no files or a name is unknown.
        """
        if not present:
            raise UserError(f"{directory} has no judgements: expected files qrels* or a folder qrels")
        if not selection:
            return cls(tuple(present), selected=False)
        by_name = {short_name(path): path for path in present}
        unknown = [name for name in selection.split("+") if name not in by_name]
        if unknown:
            raise UserError(f"{directory} has no judgement file {unknown[0]!r}: {nearest(unknown[0], by_name)}")
        return cls(tuple(by_name[name] for name in dict.fromkeys(selection.split("+"))), selected=True)

    @property
    def names(self) -> str:
        """The short names, written as a selection."""
        return "+".join(short_name(path) for path in self.paths)

    def queries_of(self, queries: dict[str, str], qrels: Qrels) -> dict[str, str]:
        """Returns all queries or, if files were selected, only the queries judged in them."""
        return {query: text for query, text in queries.items() if query in qrels} if self.selected else queries


def short_name(path: Path) -> str:
    """Returns a judgement file's name in a selection: `test` for test.tsv, `web.101-150` for
    qrels.web.101-150.txt.gz."""
    return re.sub(r"^qrels?[._-](?=.)|(?:\.(?:txt|tsv|gz|qrels?))+$", "", path.name)
