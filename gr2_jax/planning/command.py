"""`gr2 plan CONFIG --topology v5e:16x16`: whether a training fits a pod, and what it would cost."""

import dataclasses
import itertools
import json
import math

from gr2_jax.errors import UserError


def add_arguments(parser) -> None:
    parser.add_argument("config", nargs="+", help="a config file, and overlays over it")
    parser.add_argument("--topology", required=True, help="chip:shape, such as v5e:16x16 or v5p:8x8x8")
    parser.add_argument("--slices", type=int, default=1, help="so many of them, joined by the data-centre network")
    parser.add_argument("--search", action="store_true", help="tries the neighbouring meshes as well")
    parser.add_argument(
        "--quick", action="store_true", help="less effort of the compiler: minutes less, about the same"
    )
    parser.add_argument("--no-search-step", action="store_true", help="leaves the constrained search out")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def run(options, rest: list[str]) -> int:
    from gr2_jax.planning.topology import devices_of, prepare_environment

    prepare_environment()
    from gr2_jax.planning.programs import Plannable, search_step, training_step
    from gr2_jax.planning.report import compile_for, table, training_figures
    from gr2_jax.progress import say
    from gr2_jax.settings import load_experiment, override
    from gr2_jax.training.chips import chip_of
    from gr2_jax.training.flops import training_flops
    from gr2_jax.training.mesh import make_mesh

    config = override(load_experiment(*options.config), rest)
    chip, devices = chip_of(options.topology), devices_of(options.topology, options.slices)
    plan = Plannable.of(config)
    meshes = [config.mesh, *(neighbours(config.mesh, len(devices)) if options.search else ())]
    results = {}
    for mesh in meshes:
        name = ", ".join(
            f"{axis} {size}"
            for axis, size in zip(("replica", "data", "fsdp", "tensor"), mesh.sizes(len(devices)), strict=True)
        )
        say(f"compiling the training step for {options.topology}, {name}")
        try:
            step, lowered = training_step(plan, make_mesh(mesh, devices))
        except UserError as error:
            if mesh is config.mesh:
                raise
            results[name] = {"refused": str(error)}
            continue
        program = compile_for(lowered, chip, quick=options.quick)
        results[name] = training_figures(
            step, program, training_flops(plan.t5, plan.shape), chip, plan.optimiser["steps"]
        )
    search = None
    if not options.no_search_step:
        say("compiling the constrained search")
        lowered = search_step(plan.t5, devices, queries=8, beams=20, query_length=64)
        program = compile_for(lowered, chip, quick=options.quick)
        search = {"fits": program.fits, "peak": program.peak, "compile_seconds": program.seconds}
    if options.json:
        print(
            json.dumps({"topology": options.topology, "slices": options.slices, "training": results, "search": search})
        )
        return 0
    for name, figures in results.items():
        title = f"{options.topology}, {name}"
        print(f"{title}\n  refused: {figures['refused']}" if "refused" in figures else table(title, figures))
    if options.search:
        print(_fastest(results))
    if search is not None:
        print(
            f"constrained search, 8 queries of 20 beams on each chip: {'fits' if search['fits'] else 'DOES NOT FIT'}, "
            f"peak {search['peak'] / 2**30:.2f} GiB; compiled in {search['compile_seconds']:.0f} s"
        )
    return 0 if next(iter(results.values()))["fits"] else 1


def _fastest(results: dict[str, dict]) -> str:
    """By the bound without overlap, which tells meshes apart that compute the same."""
    fitting = {name: one["step_seconds"][1] for name, one in results.items() if one.get("fits")}
    if not fitting:
        return "none of these meshes fits"
    best = min(fitting, key=fitting.get)
    return f"fastest of those that fit: {best}, {1e3 * fitting[best]:,.1f} ms a step"


def neighbours(mesh, devices: int) -> list:
    """Meshes of as many devices, of which one axis is twice as long and another half."""
    axes = ("data", "fsdp", "tensor")
    sizes = dict(zip(("replica", *axes), mesh.sizes(devices), strict=True))
    found = []
    for longer, shorter in itertools.permutations(axes, 2):
        if sizes[shorter] % 2 == 0:
            changed = sizes | {longer: sizes[longer] * 2, shorter: sizes[shorter] // 2}
            assert math.prod(changed.values()) == devices
            found.append(dataclasses.replace(mesh, **changed))
    return found
