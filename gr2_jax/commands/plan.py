"""`gr2 plan CONFIG --topology v5e:16x16`: whether a training fits a pod, or hosts of GPUs, and what it would cost."""

import argparse
from collections.abc import Sequence
from typing import Any

from gr2_jax.terminal import show, show_json

HELP = "whether a training fits a TPU pod or GPUs, and what it would cost, without one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="+", help="a config file, and overlays over it")
    parser.add_argument(
        "--topology",
        required=True,
        help="chip:shape, such as v5e:16x16 or v5p:8x8x8, or of GPUs h100:8 or h100:4x8 (4 hosts)",
    )
    parser.add_argument(
        "--slices", type=int, default=1, help="slices of TPUs, joined by the data-centre network (default: 1)"
    )
    parser.add_argument("--search", action="store_true", help="tries the neighbouring meshes as well")
    parser.add_argument(
        "--quick", action="store_true", help="less effort of the TPU compiler: minutes less, about the same"
    )
    parser.add_argument("--no-search-step", action="store_true", help="leaves the constrained search out")
    parser.add_argument(
        "--documents", type=int, default=100_000, help="docids that the constrained search is over (default: 100000)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.planning.topology import prepare_environment

    prepare_environment(options.topology)  # before JAX is used
    from gr2_jax.errors import UserError
    from gr2_jax.experiment.loading import load_experiment, override
    from gr2_jax.planning.plan import Pod, plan_search, plan_training

    if options.documents < 1:
        raise UserError(f"--documents is {options.documents}: a search is over at least 1")
    experiment = override(load_experiment(*options.config), settings)
    pod = Pod.of(options.topology, options.slices)
    _refuse_indivisible(experiment, pod, options, settings)
    training = plan_training(experiment, pod, neighbours=options.search, quick=options.quick)
    search = None
    if not options.no_search_step:
        search = plan_search(experiment, pod, documents=options.documents, quick=options.quick)
    if options.json:
        plan = {"topology": options.topology, "slices": pod.slices, "training": training, "search": search}
        show_json(plan | ({"assumptions": pod.assumptions} if pod.assumptions else {}))
        return 0
    _print(options, training, search)
    for assumption in pod.assumptions:
        show(f"({assumption})")
    if next(iter(training.values()))["fits"]:
        return 0
    from gr2_jax.planning.overlays import fitting_overlays

    others = fitting_overlays(options.config, settings, len(pod.devices), pod.slices, pod.chip.name)
    if others:
        show(f"overlays with another mesh for {options.topology}: {', '.join(others[:4])}")
    return 1


def _refuse_indivisible(experiment: Any, pod: Any, options: argparse.Namespace, settings: Sequence[str]) -> None:
    """Raises `UserError` where the mesh of the config does not fit the pod, its batch or its model, with the overlays
    that do."""
    from gr2_jax.errors import UserError
    from gr2_jax.planning.overlays import check_division, fitting_overlays

    try:
        check_division(experiment, len(pod.devices), pod.slices, hosts=pod.chip.is_gpu)
    except UserError as error:
        found = fitting_overlays(options.config, settings, len(pod.devices), pod.slices, pod.chip.name)
        if not found:
            raise
        others = f" (or {', '.join(found[1:4])})" if found[1:] else ""
        raise UserError(f"{error}; the overlay {found[0]}{others} fits {options.topology}: add it") from error


def _print(options: argparse.Namespace, training: dict[str, dict[str, Any]], search: dict[str, Any] | None) -> None:
    from gr2_jax.planning.plan import fastest
    from gr2_jax.planning.report import search_table, table

    for name, figures in training.items():
        title = f"{options.topology}, {name}"
        show(f"{title}\n  refused: {figures['refused']}" if "refused" in figures else table(title, figures))
    if options.search:
        show(fastest(training))
    if search is not None:
        show(search_table(search))
