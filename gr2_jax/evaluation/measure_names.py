"""Names of measures as ir_measures writes them, `nDCG@20`, and three of our own: MRR, Hits, and ERR with its scale."""

import functools
from typing import TYPE_CHECKING

from gr2_jax.errors import UserError, nearest

if TYPE_CHECKING:
    from ir_measures import Measure


def parse(name: str) -> "Measure":
    """Returns the measure: `Hits@10` is `Success@10`, and `ERR(max_rel=4)@20` names the top of the scale of grades.

    Raises:
        UserError: The name is unknown, or its parameters are not the measure's.
    """
    import ir_measures

    base, at, cutoff = name.partition("@")
    try:
        measure = ir_measures.parse_measure("Success" + at + cutoff if base == "Hits" else name)
        measure = _scaled_err()(**measure.params) if measure.NAME == "ERR" else measure
        measure.validate_params()
        # at a cutoff of 0, trec_eval's library aborts the process
        well_formed = all(measure.params.get(parameter, 1) >= 1 for parameter in ("cutoff", "max_rel"))
    except NameError as error:
        raise UserError(f"unknown measure {name!r}: {_nearest(base, at + cutoff)}") from error
    except (ValueError, AssertionError, TypeError):
        well_formed = False
    if not well_formed:
        raise UserError(f"measure {name!r}: expected a form such as 'nDCG@20' or 'P(rel=2)@5'{_parameters(base)}")
    return measure


@functools.cache
def _scaled_err() -> type:
    """ERR with the parameter `max_rel`, which ir_measures does not have."""
    import ir_measures
    from ir_measures.measures import ParamInfo

    class ScaledERR(type(ir_measures.ERR)):
        SUPPORTED_PARAMS = ir_measures.ERR.SUPPORTED_PARAMS | {"max_rel": ParamInfo(dtype=int, default=None)}

    return ScaledERR


def _nearest(base: str, suffix: str) -> str:
    """A hint that ignores case: `ndcg` for `nDCG` is the usual slip, and too far away for `nearest`."""
    import ir_measures

    names = {known for known in ir_measures.measures.registry if known.isascii()} | {"Hits"}
    same = [known for known in sorted(names) if known.casefold() == base.casefold()]
    return f"did you mean '{same[-1]}{suffix}'?" if same else nearest(base, names)


def _parameters(base: str) -> str:
    import ir_measures

    name = "Success" if base == "Hits" else base.split("(")[0]
    measure = _scaled_err() if name == "ERR" else ir_measures.measures.registry.get(name)
    if measure is None:
        return ""
    parameters = measure.SUPPORTED_PARAMS.items()
    words = [f"{key} (required)" if info.required else key for key, info in parameters]
    return f"; {base.split('(')[0]} takes {', '.join(words)}"
