"""The project on one GPU: bfloat16's parity, training steps, constrained search and MGCC, beside torch where it is there.

python tests/benchmarks/accelerator.py [--output accelerator.json] [--seconds 480] [--parts parity training search mgcc]
python tests/benchmarks/accelerator.py --tiny                  the same at sizes for a CPU, whose figures mean nothing

Needs what the package's models need; torch and transformers only for what is compared with them. Writes one JSON file,
anew after every measurement, and prints a Markdown table. A measurement that fails is an entry with its error; no new
one starts when its part's share of `--seconds` is used up (the rest are entries that say so).

parity    T5-base, random weights, texts of 16 to 64 tokens: logits against float32 with products of full float32
          ("highest"); differences are in units of those logits' standard deviation
training  `Step` with `retrieval_loss` (MGCC and both likelihoods), dropout .1, Adam, layers scanned, bfloat16: 64 queries
          x 8 docids of 16 tokens and 64 indexing texts. Each step is waited for. Tokens: the encoder's and the decoder's,
          (64 + 64) texts and (64 x 8 + 64) docids a step. TFLOP/s: the model's matrix products, forward and twice that
          backward (`training_flops`; nothing recomputed is counted), over the time; MFU: of the card's data sheet, and of
          the square bfloat16 product measured here. Memory: what the compiled step plans, state and batch included.
          T5-large: the two combinations fastest at base among those that will fit
search    `beam_program`, 20 beams, T5-base, random docids of 3 to 8 tokens, queries of 32: whole batches, encoding
          included. "floor": the whole vocabulary's logits and their log-sum-exp alone, as often as the search steps. Hugging
          Face: `generate` with `prefix_allowed_tokens_fn`, as in search_peers.py. float32 multiplies in TF32 on both sides
mgcc      value and gradients, width 768, float32 with products of full float32 as `mgcc_loss` asks, against
          mgcc_peers.py's vectorised torch, at that precision and with TF32; "floor": the three products

Programs of a group but its first compile side by side (`--jobs`), which makes each one's seconds longer; "alone" marks
those that compiled alone. JAX reserves .8 of the memory, which leaves torch its own.
"""

import os

if "XLA_CLIENT_MEM_FRACTION" not in os.environ:
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.8")

import argparse
import copy
import dataclasses
import datetime
import functools
import importlib
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from searches import product_program

from gr2_jax.docids import DocidTrie
from gr2_jax.losses import grade_matrix, mgcc_loss
from gr2_jax.models import GR2, T5, T5Config, preset, save_hf_t5, shift_right, unstack_layers
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.search.compiled_search import beam_program, beam_search_function, on_every_device
from gr2_jax.training.chips import CHIPS, peak_flops
from gr2_jax.training.flops import StepShape, training_flops
from gr2_jax.training.mesh import MeshConfig, make_mesh, put_batch, using
from gr2_jax.training.optimiser import OptimiserConfig, make_optimiser
from gr2_jax.training.step import Step

GRADES, JUDGED, BEAMS, EOS, WARM_UP = 4, 24, 20, 1, 2
COMBINATIONS = [(remat, attention) for remat in ("none", "minimal", "full") for attention in ("recompute", "xla")]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "transformers", "numpy")
LIMITS = {"parity": 0.2, "training": 0.6, "search": 0.92, "mgcc": 1.0}  # of the time, where a part starts nothing new


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is measured."""

    models: dict[str, T5Config]
    batch: dict[str, int]
    lengths: tuple[int, int]  # of inputs, in training
    side: int  # of the square product
    docids: int
    batches: tuple[int, ...]  # of searches; the first compiles alone
    peer_batches: tuple[int, ...]
    query_length: int
    mgcc: tuple[tuple[int, int], ...]
    rounds: int


FULL = Sizes(
    {name: preset(name) for name in ("base", "large")},
    {"queries": 64, "docids": 8, "documents": 64, "docid_length": 16},
    (64, 512),
    8192,
    100_000,
    (8, 1, 32, 128, 256),
    (1, 8, 32),
    32,
    ((32, 8), (128, 16), (512, 16)),
    10,
)
TINY = Sizes(
    {name: preset("tiny", vocab_size=512) for name in ("base", "large")},
    {"queries": 4, "docids": 2, "documents": 4, "docid_length": 4},
    (8, 16),
    256,
    1000,
    (4, 1),
    (1,),
    8,
    ((4, 2),),
    3,
)


class Program(NamedTuple):
    """A compiled program, and what it took."""

    call: Callable
    compiling: dict[str, Any]
    memory_gb: dict[str, float]


class Bench:
    """The report, the clock, and what several parts use."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.sizes = options, TINY if options.tiny else FULL
        self.started, self.until = time.monotonic(), 0.0
        self.device = jax.devices()[0]
        self.entries: list[dict] = []
        self.peak = peak_of(self.device.device_kind)
        self.matmul: float | None = None  # measured, operations per second

    def measure(self, part: str, name: str, work: Callable[[], dict]) -> dict:
        """Runs `work` unless the part's time is over, and writes what it returns, its error, or that it was skipped."""
        began, entry = time.monotonic(), {"part": part, "name": name}
        try:
            entry |= {"skipped": "no time left"} if began - self.started > self.until else work()
        except Skip as reason:
            entry["skipped"] = str(reason)
        except Exception as error:
            entry["error"] = f"{type(error).__name__}: {error}"[:600]
        entry["took_seconds"] = round(time.monotonic() - began, 2)
        self.entries.append(entry)
        self.write()
        print(f"[{time.monotonic() - self.started:5.0f} s] {part}: {name}: {said(entry)}", file=sys.stderr, flush=True)
        return entry

    def write(self) -> None:
        report = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")} | machine(self.device)
        settings = vars(self.options) | {"memory_fraction": os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION")}
        compiled = {f"{e['part']}: {e['name']}": e["compile_seconds"] for e in self.entries if "compile_seconds" in e}
        report |= {"peak_flops": self.peak, "settings": settings, "entries": self.entries, "compile_seconds": compiled}
        whole = Path(f"{self.options.output}.part")
        whole.write_text(json.dumps(rounded(report), indent=1, default=str))
        whole.replace(self.options.output)

    @functools.cache  # noqa: B019 - there is one
    def weights(self, model: str) -> dict:
        """Random weights of the retrieval model, layers stacked, in the host's memory."""
        config = dataclasses.replace(self.sizes.models[model], scan_layers=True)
        tokens = np.ones((1, 2), np.int32), np.ones((1, 1, 2), np.int32)
        return jax.device_get(jax.jit(GR2(config).init)(jax.random.key(0), *tokens)["params"])

    @functools.cached_property
    def torch_device(self) -> str:
        """Where torch computes; raises `Skip` where that is not where JAX does."""
        try:
            import torch
        except ImportError as error:
            raise Skip(f"torch is not to be had: {error}") from None
        if self.device.platform == "cpu":
            return "cpu"
        if not torch.cuda.is_available():
            raise Skip("torch sees no GPU")
        return "cuda"

    @functools.cache  # noqa: B019
    def peer(self, dtype: str) -> Any:
        """Transformers' T5 with the weights of our base."""
        device = self.torch_device
        if dtype != "float32":
            return copy.deepcopy(self.peer("float32")).to(getattr(importlib.import_module("torch"), dtype))
        try:
            from transformers import T5ForConditionalGeneration
        except ImportError as error:
            raise Skip(f"transformers is not to be had: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            save_hf_t5(folder, self.sizes.models["base"], unstack_layers(self.weights("base")["t5"]))
            return T5ForConditionalGeneration.from_pretrained(folder).eval().to(device)

    def compile(self, lowerings: dict[str, Callable[[], jax.stages.Lowered]]) -> dict[str, Future]:
        """Compiles the first program alone, then the others side by side; an error is kept for whoever asks."""
        programs: dict[str, Future] = {}
        with ThreadPoolExecutor(self.options.jobs) as pool:
            for name, lower in lowerings.items():
                began = time.perf_counter()
                try:
                    lowered = lower()
                except Exception as error:
                    programs[name] = Future()
                    programs[name].set_exception(error)
                    continue
                alone = not programs or self.options.jobs == 1
                programs[name] = pool.submit(compile_lowered, lowered, time.perf_counter() - began, alone)
                if alone:
                    programs[name].exception()  # waits
        return programs


class Skip(Exception):
    """Why something is not measured."""


def compile_lowered(lowered: jax.stages.Lowered, tracing: float, alone: bool) -> Program:
    began = time.perf_counter()
    program = lowered.compile()
    compiling = {"trace_seconds": tracing, "compile_seconds": time.perf_counter() - began, "alone": alone}
    plan = program.memory_analysis()
    sizes = {name: getattr(plan, f"{name}_size_in_bytes") / 1e9 for name in ("argument", "output", "alias", "temp")}
    sizes["total"] = sizes["argument"] + sizes["output"] - sizes["alias"] + sizes["temp"]
    return Program(program, compiling, sizes)


def peak_of(kind: str) -> float | None:
    """By the name that JAX gives the card, or a part of it."""
    return peak_flops(kind) or next((c.flops for c in CHIPS.values() if f" {c.name.upper()}" in kind.upper()), None)


@functools.cache
def machine(device: jax.Device) -> dict:
    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        driver = None
    limit = (device.memory_stats() or {}).get("bytes_limit")
    versions = {name: version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}
    return {"card": device.device_kind, "driver": driver, "jax_bytes_limit": limit, "versions": versions}


def seconds_of(call: Callable[[], Any], rounds: int, repeats: int = 1, wait: Callable = jax.block_until_ready) -> list:
    """Seconds a call: `rounds` times, each of `repeats` calls that are waited for together, after the warm-up."""
    for _ in range(WARM_UP):
        wait(call())
    values = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(repeats):
            result = call()
        wait(result)
        values.append((time.perf_counter() - began) / repeats)
    return values


def spread(values: list[float], scale: float = 1000.0) -> dict:
    """The median with the least and the largest, in milliseconds."""
    scaled = [scale * value for value in values]
    return {"median": statistics.median(scaled), "least": min(scaled), "most": max(scaled), "rounds": len(scaled)}


def measure_parity(bench: Bench) -> None:
    """Logits of bfloat16, of float32 as JAX multiplies by default, and of torch, against full float32."""
    config = dataclasses.replace(bench.sizes.models["base"], scan_layers=True)
    rng = np.random.default_rng(0)
    tokens = random_tokens(rng, config, 16, 64)
    tokens *= np.arange(64) < rng.integers(16, 65, (16, 1))
    inputs = np.asarray(shift_right(random_tokens(rng, config, 16, 16)))

    @functools.cache
    def logits(dtype: str, precision: str | None) -> np.ndarray:
        model = T5(dataclasses.replace(config, dtype=dtype))
        with jax.default_matmul_precision(precision):
            return np.asarray(jax.jit(model.apply)({"params": bench.weights("base")["t5"]}, tokens, inputs))

    def torch_logits(dtype: str) -> np.ndarray:
        model = bench.peer(dtype)
        import torch

        torch.set_float32_matmul_precision("highest")
        source, target = (torch.tensor(x, dtype=torch.long, device=bench.torch_device) for x in (tokens, inputs))
        with torch.no_grad():
            out = model(source, attention_mask=source != 0, decoder_input_ids=target)
        return out.logits.float().cpu().numpy()

    def against(values: Callable[[], np.ndarray], reference: Callable[[], np.ndarray]) -> dict:
        ours, full = values(), reference()
        apart = np.abs(ours - full) / full.std()
        same = float(np.mean(ours.argmax(-1) == full.argmax(-1)))
        return {"largest": float(apart.max()), "mean": float(apart.mean()), "same_argmax": same}

    full = functools.partial(logits, "float32", "highest")
    bench.measure("parity", "bfloat16", lambda: against(lambda: logits("bfloat16", None), full))
    bench.measure("parity", "float32, default products", lambda: against(lambda: logits("float32", None), full))
    bench.measure("parity", "torch, float32", lambda: against(lambda: torch_logits("float32"), full))
    bench.measure("parity", "torch, bfloat16", lambda: against(lambda: torch_logits("bfloat16"), full))


def random_tokens(rng: np.random.Generator, config: T5Config, *shape: int) -> np.ndarray:
    """Tokens, the last of each row the end."""
    tokens = rng.integers(3, config.vocab_size, shape, dtype=np.int32)
    tokens[..., -1] = EOS
    return tokens


def square_product(bench: Bench, dtype: str, precision: str | None) -> dict:
    side = bench.sizes.side
    a, b = (jax.random.normal(jax.random.key(i), (side, side), dtype) for i in range(2))
    program = jax.jit(functools.partial(jnp.matmul, precision=precision))
    seconds = seconds_of(lambda: program(a, b), bench.sizes.rounds, repeats=10)
    speed = 2 * side**3 / statistics.median(seconds)
    if dtype == "bfloat16":
        bench.matmul = speed
    return {"ms": spread(seconds), "teraflops": speed / 1e12}


def training_batch(config: T5Config, sizes: dict[str, int], length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    queries, docids, documents = (sizes[name] for name in ("queries", "docids", "documents"))
    rows = np.arange(queries * docids, dtype=np.int32).reshape(queries, docids)
    others = (queries, JUDGED - docids)
    grades = rng.integers(1, GRADES + 1, rows.shape, dtype=np.int32)
    judged = [rows, rng.integers(0, rows.size, others, dtype=np.int32)]
    return {
        "query_tokens": random_tokens(rng, config, queries, length),
        "docid_rows": rows,
        "grades": grades,
        "judged_rows": np.concatenate(judged, axis=1),
        "judged_grades": np.concatenate([grades, rng.integers(0, GRADES + 1, others, dtype=np.int32)], axis=1),
        "docid_tokens": random_tokens(rng, config, queries, docids, sizes["docid_length"]),
        "indexing_tokens": random_tokens(rng, config, documents, length),
        "indexing_rows": np.arange(documents, dtype=np.int32),
        "indexing_docid_tokens": random_tokens(rng, config, documents, sizes["docid_length"]),
    }


class Training(NamedTuple):
    """One way to compute a step."""

    model: str
    length: int
    remat: str
    attention: str

    def __str__(self) -> str:
        return f"{self.model}, {self.length} tokens, remat {self.remat}, attention {self.attention}"

    def config(self, bench: Bench) -> T5Config:
        how = {"scan_layers": True, "remat": self.remat, "attention": self.attention, "dtype": "bfloat16"}
        return dataclasses.replace(bench.sizes.models[self.model], **how)

    def step(self, bench: Bench) -> tuple[Step, dict]:
        """The step, and a batch on the device."""
        config, mesh = self.config(bench), make_mesh(MeshConfig(), [bench.device])
        loss = functools.partial(
            retrieval_loss,
            model=GR2(config),
            objective=RetrievalObjective(),
            docid_table=None,
            target_columns=jnp.arange(config.vocab_size),
            num_grades=GRADES,
        )
        batch = training_batch(config, bench.sizes.batch, self.length)
        step = Step(loss, make_optimiser(OptimiserConfig()), 0, mesh, bench.weights(self.model))
        return step, put_batch(lambda *_, **__: batch, 0, mesh)

    def lower(self, bench: Bench) -> jax.stages.Lowered:
        step, batch = self.step(bench)
        with using(step.mesh):
            return step.compiled.lower(step.abstract, batch, np.int32(0))

    def run(self, bench: Bench, program: Program) -> dict:
        step, batch = self.step(bench)
        state, report, number = step.start(bench.weights(self.model)), None, 0

        def one() -> Any:
            nonlocal state, report, number
            state, report = program.call(state, batch, np.int32(number))
            number += 1
            return state, report

        seconds = seconds_of(one, bench.sizes.rounds)
        sizes, middle = bench.sizes.batch, statistics.median(seconds)
        texts = sizes["queries"] + sizes["documents"]
        written = (sizes["queries"] * sizes["docids"] + sizes["documents"]) * sizes["docid_length"]
        counts = (sizes["queries"], sizes["docids"], sizes["documents"], self.length, self.length)
        config = self.config(bench)
        speed = training_flops(config, StepShape(*counts, sizes["docid_length"], config.vocab_size)) / middle
        figures = {"ms": spread(seconds), "tokens_per_second": (texts * self.length + written) / middle}
        figures |= {"teraflops": speed / 1e12, "mfu": speed / bench.peak if bench.peak else None}
        figures |= {"of_square_product": speed / bench.matmul if bench.matmul else None}
        finite = int(report.last_finite_step) == number
        return figures | {"memory_gb": program.memory_gb, "loss": float(report.loss), "finite": finite}


def measure_training(bench: Bench) -> None:
    for dtype, precision in (("bfloat16", None), ("float32", None), ("float32", "highest")):
        name = f"square product of {bench.sizes.side}, {dtype}, {precision or 'default'}"
        bench.measure("training", name, lambda d=dtype, p=precision: square_product(bench, d, p))
    short, long = bench.sizes.lengths
    at_base = run_steps(bench, [Training("base", long, *how) for how in COMBINATIONS])
    best = promising(at_base, (bench.device.memory_stats() or {}).get("bytes_limit", float("inf")) / 1e9)
    ways = [Training("large", long, *how) for how in best]
    ways += [Training(model, short, "none", "recompute") for model in ("base", "large")]
    run_steps(bench, [*ways, Training("base", short, "none", "xla")])


def run_steps(bench: Bench, ways: list[Training]) -> dict[Training, dict]:
    """Compiles all, then times one after the other."""
    if time.monotonic() - bench.started > bench.until:
        programs = {}
    else:
        programs = bench.compile({str(way): functools.partial(way.lower, bench) for way in ways})

    def run(way: Training) -> dict:
        program = programs[str(way)].result()
        try:
            return way.run(bench, program) | program.compiling
        except Exception as error:  # what was planned says why it did not fit
            return {"error": f"{type(error).__name__}: {error}"[:300], "memory_gb": program.memory_gb}

    return {way: bench.measure("training", str(way), functools.partial(run, way)) for way in ways}


def promising(entries: dict[Training, dict], limit: float) -> list[tuple[str, str]]:
    """The two fastest of those whose memory, three times as much in T5-large, will fit; failing that the smallest."""
    done = {way: entry for way, entry in entries.items() if "ms" in entry}
    fits = [way for way in done if 3 * done[way]["memory_gb"]["total"] < limit]
    ranked = sorted(fits, key=lambda way: done[way]["ms"]["median"])
    ranked += sorted(done.keys() - set(fits), key=lambda way: done[way]["memory_gb"]["total"])
    return [(way.remat, way.attention) for way in ranked[:2]] or [("minimal", "recompute"), ("full", "recompute")]


class Counted:
    """A model that says when it takes a step of a search."""

    def __init__(self, model: GR2):
        self.model, self.config, self.steps = model, model.config, 0

    def _seen(self) -> None:
        self.steps += 1

    def apply(self, variables: dict, *arguments: Any, method: str) -> Any:
        if method == "step":
            jax.debug.callback(self._seen)
        return self.model.apply(variables, *arguments, method=method)


class Search:
    """The docids, the queries and the weights of all searches."""

    def __init__(self, bench: Bench):
        sizes, config = bench.sizes, bench.sizes.models["base"]
        rng = np.random.default_rng(0)
        docids = rng.integers(3, config.vocab_size, (2 * sizes.docids, 8))
        docids *= np.arange(8) < rng.integers(3, 9, (len(docids), 1))
        self.docids = rng.permutation(np.unique(docids, axis=0))[: sizes.docids]
        self.bench, self.config, self.trie = bench, config, DocidTrie.from_sequences(self.docids)
        self.arrays = on_every_device(self.trie.arrays)
        self.columns = np.arange(config.vocab_size)
        weights = bench.weights("base")
        self.weights = on_every_device(unstack_layers(weights))
        self.rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), self.weights)
        self.stacked = on_every_device(weights)

    def queries(self, batch: int) -> np.ndarray:
        return random_tokens(np.random.default_rng(batch), self.config, batch, self.bench.sizes.query_length)

    def lower(self, batch: int, params: dict, **how: Any) -> jax.stages.Lowered:
        model = GR2(dataclasses.replace(self.config, **how))
        program = beam_program(model, self.trie, self.columns, BEAMS, None)
        return program.lower(params, on_every_device(self.queries(batch)), self.arrays)

    def steps(self, batch: int) -> int:
        """How often the decoder runs until a batch is done."""
        model = Counted(GR2(self.config))
        search = jax.jit(beam_search_function(model, self.trie, self.columns, BEAMS, None))
        jax.block_until_ready(search(self.weights, self.queries(batch), self.arrays))
        jax.effects_barrier()
        return model.steps

    def run(self, batch: int, params: dict, program: Program) -> tuple[dict, Any]:
        queries = on_every_device(self.queries(batch))
        seconds = seconds_of(lambda: program.call(params, queries, self.arrays), self.bench.sizes.rounds)
        figures = {"ms": spread(seconds), "queries_per_second": batch / statistics.median(seconds)}
        found = jax.device_get(program.call(params, queries, self.arrays))
        return figures | program.compiling | {"memory_gb": program.memory_gb}, found

    def floor(self, batch: int, dtype: str, steps: int) -> dict:
        program = product_program(dataclasses.replace(self.config, dtype=dtype), BEAMS, steps)
        queries = jnp.asarray(self.queries(batch))
        seconds = seconds_of(lambda: program(self.weights["t5"], queries), self.bench.sizes.rounds)
        return {"ms": spread(seconds), "queries_per_second": batch / statistics.median(seconds)}

    @functools.cached_property
    def corpus(self) -> Any:
        """What Hugging Face's `generate` takes, the root's children on the device."""
        device = self.bench.torch_device
        import search_peers
        import torch

        root = search_peers.dict_trie(self.docids.tolist())
        walk, first = search_peers.allowed_tokens(root), torch.tensor(list(root), device=device)
        return search_peers.Corpus(self.trie, root, lambda i, beam: first if len(beam) == 1 else walk(i, beam))

    def run_peer(self, batch: int, dtype: str, found: Any) -> dict:
        """Hugging Face's speed, and how far its lists agree with ours."""
        model, corpus, queries = self.bench.peer(dtype), self.corpus, self.queries(batch)
        import search_peers
        import torch

        torch.set_float32_matmul_precision("high")
        call = functools.partial(search_peers.generate, model, corpus, queries, BEAMS)
        seconds = seconds_of(call, 3, wait=lambda result: result.cpu())
        rows, scores, steps = search_peers.peer_lists(model, corpus, queries, BEAMS)
        shared = sum(len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(found.rows, rows, strict=True))
        figures = {"ms": spread(seconds), "queries_per_second": batch / statistics.median(seconds), "steps": steps}
        better = float((scores[rows >= 0] - found.scores[rows >= 0]).max(initial=-np.inf))
        return figures | {"in_our_lists": shared / max(1, int((rows >= 0).sum())), "most_better_at_a_rank": better}


def measure_search(bench: Bench) -> None:
    search, sizes = Search(bench), bench.sizes
    counted = bench.measure("search", "steps", lambda: {"steps": search.steps(sizes.batches[0])})
    steps = counted.get("steps", search.trie.max_depth)
    for dtype in ("bfloat16", "float32"):
        ways = {f"ours, {dtype}, batch {batch}": (batch, search.weights, {"dtype": dtype}) for batch in sizes.batches}
        if dtype == "bfloat16":
            batch, how = sizes.peer_batches[-1], {"dtype": dtype}
            ways[f"ours, layers scanned, batch {batch}"] = (batch, search.stacked, how | {"scan_layers": True})
            ways[f"ours, weights kept in bfloat16, batch {batch}"] = (batch, search.rounded, how)
        for name, (batch, figures, found) in run_searches(bench, search, ways):
            if not name.startswith(f"ours, {dtype}") or "ms" not in figures:
                continue
            floor = functools.partial(search.floor, batch, dtype, steps)
            compare(bench, f"floor, {dtype}, batch {batch}", floor, figures)
            if batch in sizes.peer_batches:
                peer = functools.partial(search.run_peer, batch, dtype, found)
                compare(bench, f"Hugging Face, {dtype}, batch {batch}", peer, figures)


def run_searches(bench: Bench, search: Search, ways: dict) -> Iterator[tuple[str, tuple]]:
    """Compiles all; then times one at a time: its name, with its batch, figures and results."""
    in_time = time.monotonic() - bench.started < bench.until
    lowerings = {name: functools.partial(search.lower, batch, w, **how) for name, (batch, w, how) in ways.items()}
    programs = bench.compile(lowerings) if in_time else {}
    for name, (batch, params, _) in ways.items():
        found: list = [None]

        def run(name=name, batch=batch, params=params, found=found) -> dict:
            figures, found[0] = search.run(batch, params, programs[name].result())
            return figures

        yield name, (batch, bench.measure("search", name, run), found[0])


def compare(bench: Bench, name: str, work: Callable[[], dict], ours: dict) -> None:
    """Measures it, and says how many times as long as ours it takes."""

    def both() -> dict:
        figures = work()
        return figures | {"time_over_ours": figures["ms"]["median"] / ours["ms"]["median"]}

    bench.measure(ours["part"], name, both)


def measure_mgcc(bench: Bench) -> None:
    for queries, per_query in bench.sizes.mgcc:
        rng, title = np.random.default_rng(0), f"{queries} x {per_query}"
        vectors = [rng.standard_normal((n, 768), dtype=np.float32) for n in (queries, queries * per_query)]
        rows = np.arange(queries * per_query).reshape(queries, per_query)
        judged = np.concatenate([rows, rng.integers(0, rows.size, (queries, 2))], axis=1)
        grades = jax.jit(grade_matrix)(rows.reshape(-1), judged, rng.integers(0, GRADES + 1, judged.shape))[0]
        arrays = jax.device_put((*vectors, grades))
        loss = functools.partial(mgcc_loss, num_grades=GRADES, temperature=0.1)
        ours = jax.jit(jax.value_and_grad(loss, (0, 1)))
        figures = bench.measure("mgcc", f"ours, {title}", lambda p=ours, a=arrays: run_program(bench, p, a))
        if "ms" in figures:
            floor = functools.partial(run_program, bench, three_products, arrays[:2])
            compare(bench, f"floor, {title}", floor, figures)
            for precision in ("highest", "high"):
                peer = functools.partial(torch_mgcc, bench, precision, ours, arrays)
                compare(bench, f"torch, {'TF32' if precision == 'high' else 'full'} products, {title}", peer, figures)


@jax.jit
def three_products(queries: jax.Array, docids: jax.Array) -> tuple[jax.Array, jax.Array]:
    with jax.default_matmul_precision("highest"):
        scores = queries @ docids.T
        return scores @ docids, scores.T @ queries


def run_program(bench: Bench, program: Callable, arrays: tuple) -> dict:
    compiled = compile_lowered(program.lower(*arrays), 0.0, True)
    seconds = seconds_of(lambda: compiled.call(*arrays), bench.sizes.rounds, repeats=20)
    return {"ms": spread(seconds), "compile_seconds": compiled.compiling["compile_seconds"], "alone": True}


def torch_mgcc(bench: Bench, precision: str, ours: Callable, arrays: tuple) -> dict:
    """torch's time, and how far value and gradients are from ours, of the value and of the largest gradient."""
    device = bench.torch_device
    import mgcc_peers
    import torch

    torch.set_float32_matmul_precision(precision)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    *vectors, grades = (torch.tensor(np.asarray(array), device=device) for array in arrays)
    leaves = [vector.requires_grad_() for vector in vectors]

    def call() -> tuple:
        value = mgcc_peers.torch_vectorised(*leaves, grades)
        return value.detach(), torch.autograd.grad(value, leaves)

    with torch.device(device):
        seconds = seconds_of(call, bench.sizes.rounds, repeats=20, wait=lambda _: wait())
        theirs = call()
    value, gradients = jax.device_get(ours(*arrays))
    pairs = zip(gradients, theirs[1], strict=True)
    apart = [float(np.abs(a - b.cpu().numpy()).max() / np.abs(a).max()) for a, b in pairs]
    return {
        "ms": spread(seconds),
        "value_apart": abs(float(theirs[0]) / float(value) - 1),
        "gradient_apart": max(apart),
    }


def rounded(value: Any) -> Any:
    """The report with four digits of every number that is no whole one."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def said(entry: dict) -> str:
    """An entry in a line."""
    if reason := entry.get("error", entry.get("skipped")):
        return f"{'error' if 'error' in entry else 'skipped'}: {reason}".replace("\n", " ").replace("|", "/")[:160]
    entry, parts = rounded(entry), []
    if "ms" in entry:
        parts.append("{median} ms ({least} to {most})".format(**entry["ms"]))
    parts += [f"{entry[name]:,} {unit}" for name, unit in UNITS.items() if entry.get(name) is not None]
    if "memory_gb" in entry:
        parts.append(f"{entry['memory_gb']['total']} GB")
    return ", ".join(parts) + ("" if entry.get("finite", True) else ", NOT FINITE")


UNITS = {
    "largest": "largest difference",
    "mean": "mean difference",
    "same_argmax": "same argmax",
    "tokens_per_second": "tokens/s",
    "teraflops": "TFLOP/s",
    "mfu": "MFU",
    "of_square_product": "of the square product's",
    "queries_per_second": "queries/s",
    "time_over_ours": "times ours",
    "in_our_lists": "in our lists too",
    "value_apart": "value apart",
    "gradient_apart": "gradients apart",
    "steps": "steps",
    "compile_seconds": "s to compile",
}
PARTS = {"parity": measure_parity, "training": measure_training, "search": measure_search, "mgcc": measure_mgcc}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="accelerator.json")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--jobs", type=int, default=4, help="programs that compile side by side")
    parser.add_argument("--tiny", action="store_true")
    bench = Bench(parser.parse_args())
    if bench.device.platform != "gpu" and not bench.options.tiny:
        raise SystemExit(f"JAX has no GPU, only {bench.device.device_kind}: --tiny is for a CPU")
    for part in bench.options.parts:
        bench.until = LIMITS[part] * bench.options.seconds
        try:
            PARTS[part](bench)
        except Exception as error:  # outside of a measurement
            bench.measure(part, "the part itself", functools.partial(stop, error))
    print(f"{bench.device.device_kind}, {json.dumps(machine(bench.device)['versions'])}\n")
    print("| part | measurement | result |\n| --- | --- | --- |")
    for entry in bench.entries:
        print(f"| {entry['part']} | {entry['name']} | {said(entry)} |")


def stop(error: Exception) -> dict:
    raise error


if __name__ == "__main__":
    main()
