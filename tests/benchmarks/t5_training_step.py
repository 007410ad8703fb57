"""A T5 training step (loss, gradients, AdamW) against torch's T5 from transformers, same shapes, in turn, in one run.

python tests/benchmarks/t5_training_step.py [--shapes tiny base] [--peer torch] [--dtype float32] [--scan] [--rounds 5]

No dropout; two processes that take turns: each waits while the other computes. torch gets what it is fastest with
here: `set_float32_matmul_precision("medium")` (bfloat16: autocast), and the fused AdamW. `--peer torch-kept` sets its
allocator like ours (`gr2_jax.memory`). `--compile` only says how long our step takes to compile, and the memory
it plans.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import time

from gr2_jax.memory import keep_freed_memory
from gr2_jax.models import T5Config, preset

SHAPES = {
    "tiny": T5Config(d_model=128, d_kv=32, d_ff=512, num_heads=4, num_encoder_layers=2, num_decoder_layers=2),
    "base": preset("base"),
}
RATE, WEIGHT_DECAY = 1e-3, 0.01


def torch_step(config: T5Config, source, target):
    """Loss, gradients and update, in place."""
    import torch
    from transformers import T5Config as HFConfig
    from transformers import T5ForConditionalGeneration

    torch.set_float32_matmul_precision("medium")
    model = T5ForConditionalGeneration(
        HFConfig(
            vocab_size=config.vocab_size,
            d_model=config.d_model,
            d_kv=config.d_kv,
            d_ff=config.d_ff,
            num_heads=config.num_heads,
            num_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            dropout_rate=0.0,
            decoder_start_token_id=0,
            use_cache=False,
        )
    ).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY, fused=True)
    source, target = torch.tensor(source), torch.tensor(target)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.dtype == "bfloat16"):
            loss = model(input_ids=source, attention_mask=torch.ones_like(source), labels=target).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def jax_update(config: T5Config):
    """(the model, the step's optimiser, the step)."""
    import jax
    import jax.numpy as jnp
    import optax

    from gr2_jax.losses import label_smoothed_nll
    from gr2_jax.models import T5, shift_right

    model = T5(dataclasses.replace(config, dropout_rate=0.0))
    optimiser = optax.adamw(RATE, weight_decay=WEIGHT_DECAY)

    def loss(params, source, target):
        logits = model.apply({"params": params}, source, shift_right(target))
        nll = label_smoothed_nll(logits, target, label_smoothing=0.0, weights=jnp.ones(target.shape))
        return nll.sum() / target.size

    def update(params, opt_state, source, target):
        value, gradients = jax.value_and_grad(loss)(params, source, target)
        updates, opt_state = optimiser.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return model, optimiser, jax.jit(update, donate_argnums=(0, 1))


def jax_step(config: T5Config, source, target):
    """The same, one compiled program."""
    import jax
    import jax.numpy as jnp

    model, optimiser, update = jax_update(config)
    params = jax.jit(model.init)(jax.random.key(0), source[:, :2], target[:, :2])["params"]
    state = params, jax.jit(optimiser.init)(params)
    source, target = jnp.asarray(source), jnp.asarray(target)

    def step() -> float:
        nonlocal state
        *state, value = update(*state, source, target)
        return float(value)

    return step


def report_compile(shape: str, config: T5Config, sizes: list[int]) -> None:
    """Tracing and compiling from shapes alone, and the memory that the program plans beside its arguments."""
    import jax
    import numpy as np

    model, optimiser, update = jax_update(config)
    batch, source, target = sizes
    tokens = [jax.ShapeDtypeStruct((batch, length), np.int32) for length in (source, target)]
    params = jax.eval_shape(model.init, jax.random.key(0), *tokens)["params"]
    arguments = params, jax.eval_shape(optimiser.init, params), *tokens
    started = time.perf_counter()
    lowered = update.lower(*arguments)
    traced = time.perf_counter()
    planned = lowered.compile().memory_analysis().temp_size_in_bytes / 1e9
    times = f"traced in {traced - started:.1f} s, compiled in {time.perf_counter() - traced:.1f} s"
    layout = "scanned" if config.scan_layers else "unrolled"
    print(f"{shape}, {layout}, remat {config.remat}: {times}, plans {planned:.2f} GB", flush=True)


SYSTEMS = {"torch": torch_step, "torch-kept": torch_step, "gr2_jax": jax_step}


def serve(system: str, config: T5Config, sizes: list[int]) -> None:
    """Takes a step for every line it reads and answers with its seconds."""
    import numpy as np

    if system != "torch":
        keep_freed_memory()
    batch, source, target = sizes
    rng = np.random.default_rng(0)
    tokens = [rng.integers(3, 32000, (batch, length)) for length in (source, target)]
    step = SYSTEMS[system](config, *tokens)
    for _ in range(2):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        step()
        print(time.perf_counter() - started, flush=True)


def compare(shape: str, options: argparse.Namespace) -> None:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    systems = (options.peer, "gr2_jax")
    times: dict[str, list[float]] = {system: [] for system in systems}
    workers = {}
    for system in systems:
        command = [sys.executable, __file__, *sys.argv[1:], "--shapes", shape, "--serve", system]
        workers[system] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if workers[system].stdout.readline() != "ready\n":
            raise SystemExit(f"{system} did not start")
    for _ in range(options.rounds):
        for system, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            times[system].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    medians = ", ".join(f"{system} {statistics.median(values):.3f} s" for system, values in times.items())
    print(f"{shape}, {options.dtype}: {medians} a step")
    ratios = sorted(a / b for a, b in zip(times[options.peer], times["gr2_jax"], strict=True))
    print(f"  ratio: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", choices=("torch", "torch-kept"), default="torch")
    parser.add_argument("--compile", action="store_true", help="compile our step in every layout; no peer")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--scan", action="store_true", help="our layers scanned instead of unrolled")
    for name, default in (("batch", 8), ("source", 512), ("target", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--serve", choices=SYSTEMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [options.batch, options.source, options.target]
    for shape in options.shapes:
        config = dataclasses.replace(SHAPES[shape], dtype=options.dtype, scan_layers=options.scan)
        if options.serve:
            serve(options.serve, config, sizes)
        elif options.compile:
            for scan, remat in ((False, "none"), (True, "none"), (True, "minimal"), (True, "full")):
                report_compile(shape, dataclasses.replace(config, scan_layers=scan, remat=remat), sizes)
        else:
            compare(shape, options)


if __name__ == "__main__":
    main()
