"""The constrained search of a model, by shapes alone: does it fit a host of a pod, and what does a query cost at least?

The hosts of a job search different queries, so one host's chips are what counts.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gr2_jax.decoding.devices import AXIS
from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, T5Config
from gr2_jax.models.divided import divided_places, is_matrix_of_layer
from gr2_jax.pipeline.initial_weights import random_params
from gr2_jax.planning.collectives import by_kind, collectives
from gr2_jax.planning.lowered_steps import VOCABULARY
from gr2_jax.planning.report import EFFICIENCY, compile_for
from gr2_jax.search.compiled_search import Beams, beam_program
from gr2_jax.search.placement import Placement
from gr2_jax.training.chips import Chip

BEAMS, QUERY_LENGTH, _DOCID_LENGTH = 20, 64, 8
_DOCIDS = 100_000  # of the trie that is made; a larger one is its arrays made longer


class SearchPlan(NamedTuple):
    """queries    of 20 beams that each chip takes at once
    divided    whether model and trie are divided over the host's chips
    documents  docids in the trie, of 8 random tokens and their end
    """

    queries: int
    divided: bool
    documents: int


def search_figures(t5: T5Config, devices: list, plan: SearchPlan, chip: Chip, *, quick: bool) -> dict[str, Any]:
    """Peak memory and collectives of the compiled search on these devices; bytes are a chip's. The lists of children
    are those of the trie that is made: of more documents they would be longer at a few steps."""
    mesh, model = Mesh(np.array(devices), (AXIS,)), GR2(t5)
    params, places = _params(model, mesh, plan.divided)
    rng = np.random.default_rng(0)
    trie = DocidTrie.from_sequences(np.unique(rng.integers(3, VOCABULARY, (_DOCIDS, _DOCID_LENGTH)), axis=0))
    arrays = _longer(trie, mesh, plan)
    rows = NamedSharding(mesh, PartitionSpec(AXIS))
    placement = Placement(trie=plan.divided, params=places if plan.divided else None)
    search = beam_program(model, Beams.over(trie, BEAMS), np.arange(VOCABULARY), placement=placement, mesh=mesh)
    tokens = jax.ShapeDtypeStruct((plan.queries * len(devices), QUERY_LENGTH), jnp.int32, sharding=rows)
    program = compile_for(search.lower(params, tokens, arrays), chip, quick=quick)
    return {
        **plan._asdict(),
        "chips": len(devices),
        "fits": program.fits,
        "peak": program.peak,
        "hbm": chip.hbm,
        "parameters": _bytes_of_one(params),
        "trie": _bytes_of_one(arrays),
        "collectives": {kind: times for kind, (times, _) in by_kind(collectives(program.text)).items()},
        "ms_per_query": _least_ms(params, len(devices), plan, chip),
        "compile_seconds": program.seconds,
    }


def _params(model: GR2, mesh: Mesh, divided: bool) -> tuple[Any, Any]:
    """Shapes of the parameters as a search keeps them, and the place of each."""
    shapes = jax.eval_shape(lambda: random_params(model, 0))
    whole = jax.tree.map(lambda _: PartitionSpec(), shapes)
    places = divided_places(shapes, AXIS, mesh.size) if divided else whole

    def param(path: tuple, x: Any, place: PartitionSpec) -> jax.ShapeDtypeStruct:
        dtype = model.config.dtype if is_matrix_of_layer(path) else x.dtype
        return jax.ShapeDtypeStruct(x.shape, dtype, sharding=NamedSharding(mesh, place))

    return jax.tree_util.tree_map_with_path(param, shapes, places), places


def _longer(trie: DocidTrie, mesh: Mesh, plan: SearchPlan) -> Any:
    """The shapes of the trie's arrays, as long as those of `documents` docids would be at most: the more docids there
    are, the more of their tokens they share."""
    place = NamedSharding(mesh, PartitionSpec(AXIS) if plan.divided else PartitionSpec())

    def array(x: np.ndarray) -> jax.ShapeDtypeStruct:
        rows = math.ceil(len(x) * plan.documents / trie.num_docids / mesh.size) * mesh.size
        return jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype, sharding=place)

    return jax.tree.map(array, trie.arrays)


def _reads_the_query(path: tuple) -> bool:
    names = [str(key.key) for key in path]
    return "cross_attention" in names and bool({"key", "value"} & set(names))


def _bytes_of_one(tree: Any) -> int:
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _least_ms(params: Any, chips: int, plan: SearchPlan, chip: Chip) -> float:
    """A roofline: every step of a docid's tokens reads the decoder's matrices once, but for those that read the query
    once for all steps, from memory and, of a divided model, from the other chips, and multiplies them with every beam;
    the longest of the three decides. It leaves out the output's product and counts every beam at the first step, too.
    """
    flat = jax.tree_util.tree_leaves_with_path(params["t5"]["decoder"])
    matrices = [x for path, x in flat if is_matrix_of_layer(path) and not _reads_the_query(path)]
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in matrices)
    flops = 2 * sum(math.prod(x.shape) for x in matrices) * plan.queries * BEAMS
    gathered = size * (chips - 1) / chips if plan.divided else 0
    step = max(size / chip.bandwidth, gathered / chip.links, flops / (chip.flops * EFFICIENCY))
    return 1e3 * step * (_DOCID_LENGTH + 1) / (plan.queries * chips)
