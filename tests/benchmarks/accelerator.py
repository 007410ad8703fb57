"""The project on one GPU: bfloat16's parity, training steps, constrained search and MGCC, beside torch where it is.

python tests/benchmarks/accelerator.py [--output accelerator.json] [--seconds 480] [--parts parity training search mgcc]
python tests/benchmarks/accelerator.py --tiny             the same in small on a CPU: whether it runs, not how fast

Writes one JSON file, anew after every measurement, and prints a Markdown table. A measurement that fails is an entry
with its error; after a part's share of `--seconds` nothing new starts, and the rest are entries that say so. torch and
transformers are used where they are installed. Times: medians with the least and the largest.

parity    T5-base, random weights, texts of 16 to 64 tokens: logits against float32 with products of full float32
          ("highest"), in units of those logits' standard deviation
training  `Step` with `retrieval_loss` (MGCC and both likelihoods), dropout .1, Adam, bfloat16: 64 queries x 8 docids of
          16 tokens, 64 indexing texts. Each step is waited for. Tokens: the encoder's (64 + 64 texts) and the decoder's
          (64 x 8 + 64 docids). TFLOP/s: `training_flops`, which counts nothing recomputed; MFU: of the card's data
          sheet, then of the square product measured here. GB: what the compiled step plans, state and batch included.
          T5-large: the way fastest at base of those that should fit. torch: transformers' T5 with bfloat16 weights,
          the same texts and docids (each docid against its query's states, encoded once), likelihoods alone, fused Adam
search    `beam_program`, 20 beams, T5-base, random docids of 3 to 8 tokens: whole batches of queries of 32, encoding
          included. Floor: only the whole vocabulary's logits and their log-sum-exp, as often as the search steps.
          Hugging Face: `generate` of search_peers.py. float32 multiplies as JAX does by default and torch at "high",
          which on such a card is TF32
roads     `joint_program` at base in bfloat16, 20 beams, 100 nearest, batches of 32, a table of random bfloat16 vectors:
          candidates by beams, nearest docids, both
mgcc      value and gradients, width 768, float32 with full products, as `mgcc_loss` asks; torch_vectorised of
          mgcc_peers.py with the same and with TF32; floor: the three products. 20 calls are waited for together

Programs compile `--jobs` at a time, which makes their seconds longer. JAX takes .8 of the memory, which leaves torch
its own.
"""

import os
import re

if "XLA_CLIENT_MEM_FRACTION" not in os.environ:
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.8")

import argparse
import copy
import datetime
import functools
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from searches import product_program

from gr2_jax.decoding.nearest import Vectors
from gr2_jax.docids import DocidTrie
from gr2_jax.losses import grade_matrix, mgcc_loss
from gr2_jax.models import GR2, T5, T5Config, preset, save_hf_t5, shift_right, unstack_layers
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.search.compiled_search import Beams, JointDocids, beam_program, joint_program
from gr2_jax.search.placement import on_every_device
from gr2_jax.training.chips import CHIPS, peak_flops
from gr2_jax.training.flops import StepShape, training_flops
from gr2_jax.training.mesh import MeshConfig, make_mesh, put_batch, using
from gr2_jax.training.optimiser import OptimiserConfig, make_optimiser
from gr2_jax.training.step import Step

GRADES, JUDGED, BEAMS, EOS = 4, 24, 20, 1
WAYS = (  # remat, attention, layers scanned
    ("none", "auto", False),
    ("none", "auto", True),
    ("none", "recompute", False),
    ("none", "recompute", True),
    ("minimal", "auto", False),
    ("minimal", "auto", True),
)
PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "transformers", "numpy")
SHARES = {
    "parity": 0.2,
    "training": 0.6,
    "search": 0.8,
    "roads": 0.92,
    "mgcc": 1.0,
}  # of the time, after which nothing new starts
UNITS = {
    "largest": "largest difference",
    "mean": "mean difference",
    "same_argmax": "same argmax",
    "tokens_per_second": "tokens/s",
    "teraflops": "TFLOP/s",
    "mfu": "MFU",
    "of_square_product": "of the square product's",
    "queries_per_second": "queries/s",
    "time_over_ours": "times our time",
    "in_our_lists": "of its documents in our lists",
    "gradient_apart": "gradients apart",
    "steps": "steps",
    "compile_seconds": "s to compile",
}


@dataclass(frozen=True)
class Sizes:
    """What is measured; the first of `batches` compiles alone."""

    models: tuple[str, str] = ("base", "large")
    vocabulary: int = 32128
    step: tuple[int, int, int, int] = (64, 8, 64, 16)  # queries, docids of each, indexing texts, tokens of a docid
    lengths: tuple[int, int] = (512, 64)
    ways: tuple[tuple[str, str, bool], ...] = WAYS
    side: int = 8192
    docids: int = 100_000
    corpora: tuple[int, ...] = (100_000, 1_000_000)
    batches: tuple[int, ...] = (8, 1, 32, 128, 256)
    peer_batches: tuple[int, ...] = (1, 8, 32)
    mgcc: tuple[tuple[int, int], ...] = ((32, 8), (128, 16), (512, 16))
    rounds: int = 10

    def config(self, large: bool, **how: Any) -> T5Config:
        return preset(self.models[large], vocab_size=self.vocabulary, **how)


TINY = Sizes(("tiny", "tiny"), 512, (4, 2, 4, 4), (16, 8), WAYS[:2], 256, 1000, (500, 1000), (4, 1), (1,), ((4, 2),), 3)


class Skip(Exception):
    """Why something is not measured."""


class Bench:
    """The report, the clock, and what several parts use."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.sizes = options, TINY if options.tiny else Sizes()
        self.started, self.part, self.device = time.monotonic(), "", jax.devices()[0]
        self.report, self.entries = machine(self.device) | {"settings": vars(options)}, []
        self.square_product: float | None = None  # operations per second

    def check_time(self) -> None:
        if time.monotonic() - self.started > SHARES[self.part] * self.options.seconds:
            raise Skip("no time left")

    def wanted(self, name: str) -> bool:
        return re.search(self.options.only, name) is not None

    def measure(self, name: str, work: Callable[[], dict], ours: dict | None = None) -> dict:
        """An entry: what `work` returns (with its time over that of `ours`), its error, or why there is nothing."""
        began, entry = time.monotonic(), {"part": self.part, "name": name}
        if not self.wanted(name):
            return entry
        try:
            self.check_time()
            entry |= work()
            if ours:
                entry["time_over_ours"] = entry["ms"]["median"] / ours["ms"]["median"]
        except Skip as reason:
            entry["skipped"] = str(reason)
        except Exception as error:
            entry["error"] = f"{type(error).__name__}: {error}"[:600]
        now = time.monotonic()
        self.entries.append(rounded(entry | {"took_seconds": now - began}))
        whole = Path(f"{self.options.output}.part")
        whole.write_text(json.dumps(self.report | {"entries": self.entries}, indent=1))
        whole.replace(self.options.output)
        print(f"[{now - self.started:5.0f} s] {self.part}: {name}: {said(entry)}", file=sys.stderr, flush=True)
        return entry

    def compile(self, lowerings: dict[str, Callable[[], jax.stages.Lowered]]) -> dict[str, Future]:
        """Each program with its figures, or its error."""
        pool = ThreadPoolExecutor(self.options.jobs)  # the first are timed while others compile
        return {
            name: pool.submit(lambda lower: self.check_time() or compiled(lower), lower)
            for name, lower in lowerings.items()
        }

    @functools.cache  # noqa: B019 - there is one bench
    def weights(self, large: bool) -> dict:
        """Random weights of the retrieval model, layers stacked, in the host's memory."""
        model, tokens = GR2(self.sizes.config(large, scan_layers=True)), np.ones((1, 2), np.int32)
        return jax.device_get(jax.jit(model.init)(jax.random.key(0), tokens, tokens[:, None])["params"])

    @functools.cached_property
    def torch_device(self) -> str:
        """Where JAX computes."""
        try:
            import torch
        except ImportError as error:
            raise Skip(f"torch is not to be had: {error}") from None
        if self.device.platform != "cpu" and not torch.cuda.is_available():
            raise Skip("torch sees no GPU")
        return "cpu" if self.device.platform == "cpu" else "cuda"

    @functools.cache  # noqa: B019
    def peer(self, dtype: str) -> Any:
        """Transformers' T5 with the weights of our base."""
        device = self.torch_device
        if dtype == "bfloat16":
            return copy.deepcopy(self.peer("float32")).bfloat16()
        try:
            from transformers import T5ForConditionalGeneration
        except ImportError as error:
            raise Skip(f"transformers is not to be had: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            save_hf_t5(folder, self.sizes.config(False), unstack_layers(self.weights(False)["t5"]))
            return T5ForConditionalGeneration.from_pretrained(folder).eval().to(device)


def compiled(lower: Callable[[], jax.stages.Lowered]) -> tuple[Callable, dict]:
    began = time.perf_counter()
    lowered = lower()
    traced = time.perf_counter()
    program = lowered.compile()
    seconds = {"trace_seconds": traced - began, "compile_seconds": time.perf_counter() - traced}
    plan = program.memory_analysis()
    memory = {name: getattr(plan, f"{name}_size_in_bytes") / 1e9 for name in ("argument", "output", "alias", "temp")}
    memory["total"] = memory["argument"] + memory["output"] - memory["alias"] + memory["temp"]
    return program, seconds | {"memory_gb": memory}


def machine(device: jax.Device) -> dict:
    """When, on what, and with which versions."""
    versions: dict[str, str | None] = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        driver = None
    kind = device.device_kind
    peak = peak_flops(kind) or next((c.flops for c in CHIPS.values() if f" {c.name.upper()}" in kind.upper()), None)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    facts = {"date": date, "card": kind, "driver": driver, "peak_flops": peak, "jax_memory_gb": limit / 1e9 or None}
    return facts | {"versions": versions}


def timed(call: Callable[[], Any], rounds: int, *, each: int = 1, items: int = 0, wait=jax.block_until_ready) -> dict:
    """Milliseconds of a call after two untimed ones: `rounds` times, of `each` calls that are waited for together."""
    values = []
    for number in range(rounds + 2):
        began = time.perf_counter()
        for _ in range(each if number > 1 else 1):
            result = call()
        wait(result)
        values.append(1000 * (time.perf_counter() - began) / each)
    values, middle = values[2:], statistics.median(values[2:])
    speed = {"queries_per_second": 1000 * items / middle} if items else {}
    return {"ms": {"median": middle, "least": min(values), "most": max(values), "rounds": rounds}} | speed


def random_tokens(rng: np.random.Generator, vocabulary: int, *shape: int) -> np.ndarray:
    """Tokens, the last of each row the end."""
    tokens = rng.integers(3, vocabulary, shape, dtype=np.int32)
    tokens[..., -1] = EOS
    return tokens


def measure_parity(bench: Bench) -> None:
    """Logits of bfloat16, of float32 as JAX multiplies by default, and of torch, against full float32."""
    rng, vocabulary = np.random.default_rng(0), bench.sizes.vocabulary
    source = random_tokens(rng, vocabulary, 16, 64) * (np.arange(64) < rng.integers(16, 65, (16, 1)))
    target = np.asarray(shift_right(random_tokens(rng, vocabulary, 16, 16)))

    @functools.cache
    def logits(dtype: str, precision: str | None = None) -> np.ndarray:
        model = T5(bench.sizes.config(False, scan_layers=True, dtype=dtype))
        with jax.default_matmul_precision(precision):
            return np.asarray(jax.jit(model.apply)({"params": bench.weights(False)["t5"]}, source, target))

    def torch_logits(dtype: str) -> np.ndarray:
        model = bench.peer(dtype)
        import torch

        torch.set_float32_matmul_precision("highest")
        tokens, inputs = (torch.tensor(x, dtype=torch.long, device=bench.torch_device) for x in (source, target))
        with torch.no_grad():
            out = model(tokens, attention_mask=tokens != 0, decoder_input_ids=inputs)
        return out.logits.float().cpu().numpy()

    def against_full(function: Callable[[str], np.ndarray], dtype: str) -> dict:
        values, full = function(dtype), logits("float32", "highest")
        apart, same = np.abs(values - full) / full.std(), values.argmax(-1) == full.argmax(-1)
        return {"largest": float(apart.max()), "mean": float(apart.mean()), "same_argmax": float(same.mean())}

    for name, function in (("ours, default products", logits), ("torch, full products", torch_logits)):
        for dtype in ("bfloat16", "float32"):
            bench.measure(f"{dtype}, {name}", functools.partial(against_full, function, dtype))


class Way(NamedTuple):
    """One way to compute a training step."""

    large: bool
    length: int
    remat: str
    attention: str
    scanned: bool

    @property
    def name(self) -> str:
        layers = "scanned" if self.scanned else "unrolled"
        return f"{self.length} tokens, remat {self.remat}, attention {self.attention}, {layers}"


def training_step(bench: Bench, way: Way) -> tuple[Step, dict, float]:
    """The step, a batch on the device, and the step's operations."""
    how = {"scan_layers": way.scanned, "remat": way.remat, "attention": way.attention, "dtype": "bfloat16"}
    config, mesh = bench.sizes.config(way.large, **how), make_mesh(MeshConfig(), [bench.device])
    loss = functools.partial(
        retrieval_loss,
        model=GR2(config),
        objective=RetrievalObjective(),
        docid_table=None,
        target_columns=jnp.arange(config.vocab_size),
        num_grades=GRADES,
    )
    step = Step(loss, make_optimiser(OptimiserConfig()), 0, mesh, weights_of(bench, way))
    batch = training_batch(bench.sizes, way.length)
    *counts, docid_length = bench.sizes.step
    shape = StepShape(*counts, way.length, way.length, docid_length, config.vocab_size, encoder_reads_docids=True)
    return step, put_batch(lambda *_, **__: batch, 0, mesh), training_flops(config, shape)


def weights_of(bench: Bench, way: Way) -> dict:
    weights = bench.weights(way.large)
    return weights if way.scanned else unstack_layers(weights)


def training_batch(sizes: Sizes, length: int) -> dict[str, np.ndarray]:
    """Random tokens without padding; each query's own docids are relevant, of the others judged some."""
    rng, (queries, docids, documents, docid_length) = np.random.default_rng(0), sizes.step
    rows = np.arange(queries * docids, dtype=np.int32).reshape(queries, docids)
    others = rng.integers(0, rows.size, (queries, JUDGED - docids), dtype=np.int32)
    grades = rng.integers(1, GRADES + 1, rows.shape, dtype=np.int32)
    other_grades = rng.integers(0, GRADES + 1, others.shape, dtype=np.int32)
    return {
        "query_tokens": random_tokens(rng, sizes.vocabulary, queries, length),
        "docid_rows": rows,
        "grades": grades,
        "judged_rows": np.concatenate([rows, others], axis=1),
        "judged_grades": np.concatenate([grades, other_grades], axis=1),
        "docid_tokens": random_tokens(rng, sizes.vocabulary, queries, docids, docid_length),
        "indexing_tokens": random_tokens(rng, sizes.vocabulary, documents, length),
        "indexing_rows": np.arange(documents, dtype=np.int32),
        "indexing_docid_tokens": random_tokens(rng, sizes.vocabulary, documents, docid_length),
    }


def lower_step(bench: Bench, way: Way) -> jax.stages.Lowered:
    step, batch, _ = training_step(bench, way)
    with using(step.mesh):
        return step.compiled.lower(step.abstract, batch, np.int32(0))


def run_step(bench: Bench, way: Way, program: Callable) -> dict:
    step, batch, operations = training_step(bench, way)
    state, report, number = step.start(weights_of(bench, way)), None, 0

    def one() -> Any:
        nonlocal state, report, number
        state, report = program(state, batch, np.int32(number))
        number += 1
        return state, report

    figures = timed(one, bench.sizes.rounds)
    queries, docids, documents, docid_length = bench.sizes.step
    tokens = (queries + documents) * way.length + (queries * docids + documents) * docid_length
    seconds, peak = figures["ms"]["median"] / 1000, bench.report["peak_flops"]
    speed = operations / seconds
    figures |= {"tokens_per_second": tokens / seconds, "teraflops": speed / 1e12, "mfu": peak and speed / peak}
    figures["of_square_product"] = bench.square_product and speed / bench.square_product
    return figures | {"loss": float(report.loss), "finite": int(report.last_finite_step) == number}


def run_steps(bench: Bench, ways: list[Way]) -> dict[Way, dict]:
    """Compiles all, then times one after the other."""
    names = {way: f"{bench.sizes.models[way.large]}, {way.name}" for way in ways}
    wanted = [way for way in ways if bench.wanted(names[way])]
    programs = bench.compile({way: functools.partial(lower_step, bench, way) for way in wanted})

    def run(way: Way) -> dict:
        program, figures = programs[way].result()
        try:
            return run_step(bench, way, program) | figures
        except Exception as error:  # with the memory planned, which says why it did not fit
            return figures | {"error": f"{type(error).__name__}: {error}"[:600]}

    return {way: bench.measure(name, functools.partial(run, way)) for way, name in names.items()}


def square_product(bench: Bench, dtype: str, precision: str | None) -> dict:
    a, b = (jax.random.normal(jax.random.key(i), (bench.sizes.side,) * 2, dtype) for i in range(2))
    program = jax.jit(functools.partial(jnp.matmul, precision=precision))
    figures = timed(lambda: program(a, b), bench.sizes.rounds, each=10)
    speed = 2000 * bench.sizes.side**3 / figures["ms"]["median"]
    if dtype == "bfloat16":
        bench.square_product = speed
    return figures | {"teraflops": speed / 1e12}


def measure_training(bench: Bench) -> None:
    for dtype, precision in (("bfloat16", None), ("float32", None), ("float32", "highest")):
        name = f"square product, {bench.sizes.side}, {dtype}, {precision or 'default'}"
        bench.measure(name, functools.partial(square_product, bench, dtype, precision))
    long, short = bench.sizes.lengths
    done = run_steps(bench, [Way(False, long, *way) for way in bench.sizes.ways])
    best = fastest(done, bench.report["jax_memory_gb"] or float("inf"))
    run_steps(bench, [best._replace(large=True), best._replace(length=short)][: 1 if bench.options.tiny else 2])
    bench.measure(f"torch, base, {long} tokens", functools.partial(torch_training, bench, long))


def fastest(entries: dict[Way, dict], limit: float) -> Way:
    """Of those whose memory, three times as much in T5-large, will fit; failing that the smallest."""
    done = {way: entry for way, entry in entries.items() if "ms" in entry}
    fits = [way for way in done if 3 * done[way]["memory_gb"]["total"] < limit]
    if fits:
        return min(fits, key=lambda way: done[way]["ms"]["median"])
    return min(done, key=lambda way: done[way]["memory_gb"]["total"], default=Way(False, 512, "minimal", "auto", True))


def torch_training(bench: Bench, length: int) -> dict:
    """Likelihoods alone, without MGCC and without reading docids for vectors: less than our step does."""
    device = bench.torch_device
    import torch
    from torch.nn.functional import cross_entropy

    model = copy.deepcopy(bench.peer("float32")).bfloat16().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    batch = {
        k: torch.tensor(v, device=device, dtype=torch.long) for k, v in training_batch(bench.sizes, length).items()
    }
    docids = torch.cat([batch["docid_tokens"].flatten(0, 1), batch["indexing_docid_tokens"]])
    per_query = batch["docid_tokens"].shape[1]

    def step() -> Any:
        texts = torch.cat([batch["query_tokens"], batch["indexing_tokens"]])
        states = model.encoder(input_ids=texts).last_hidden_state
        queries, documents = states.split([len(batch["query_tokens"]), len(batch["indexing_tokens"])])
        states = torch.cat([queries.repeat_interleave(per_query, 0), documents])
        inputs = torch.nn.functional.pad(docids[:, :-1], (1, 0))
        logits = model(encoder_outputs=(states,), decoder_input_ids=inputs).logits
        loss = cross_entropy(logits.float().flatten(0, 1), docids.flatten(), label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    return timed(step, min(5, bench.sizes.rounds), wait=lambda loss: loss.item())


def random_docids(rng: np.random.Generator, vocabulary: int, count: int) -> np.ndarray:
    """Distinct docids of 3 to 8 tokens, 0-padded."""
    docids = rng.integers(3, vocabulary, (2 * count, 8))
    docids *= np.arange(8) < rng.integers(3, 9, (len(docids), 1))
    return rng.permutation(np.unique(docids, axis=0))[:count]


class Counted(GR2):
    """A retrieval model that says when it takes a step of a search."""

    def step(self, *arguments: Any) -> Any:
        jax.debug.callback(lambda: STEPS.append(1))
        return super().step(*arguments)


STEPS: list[int] = []


class Search:
    """The docids, the queries and the weights of all searches."""

    def __init__(self, bench: Bench):
        self.bench, self.sizes, rng = bench, bench.sizes, np.random.default_rng(0)
        self.docids = random_docids(rng, self.sizes.vocabulary, self.sizes.docids)
        self.trie, self.columns = DocidTrie.from_sequences(self.docids), np.arange(self.sizes.vocabulary)
        self.arrays = on_every_device(self.trie.arrays)
        self.stacked = on_every_device(bench.weights(False))
        self.weights = on_every_device(unstack_layers(bench.weights(False)))
        self.halved = jax.tree.map(lambda x: x.astype(jnp.bfloat16), self.weights)

    def queries(self, batch: int) -> np.ndarray:
        return random_tokens(np.random.default_rng(batch), self.sizes.vocabulary, batch, 32)

    def lower(self, batch: int, params: dict, how: dict) -> jax.stages.Lowered:
        program = beam_program(GR2(self.sizes.config(False, **how)), Beams.over(self.trie, BEAMS), self.columns)
        return program.lower(params, on_every_device(self.queries(batch)), self.arrays)

    def steps(self, batch: int) -> dict:
        """How often the decoder runs until a batch is done."""
        search = beam_program(Counted(self.sizes.config(False)), Beams.over(self.trie, BEAMS), self.columns)
        jax.block_until_ready(search(self.weights, self.queries(batch), self.arrays))
        jax.effects_barrier()
        return {"steps": len(STEPS)}

    def run(self, batch: int, params: dict, program: Callable, found: list) -> dict:
        """Our speed; the lists found go to `found`."""
        queries = on_every_device(self.queries(batch))
        figures = timed(lambda: program(params, queries, self.arrays), self.sizes.rounds, items=batch)
        found.append(jax.device_get(program(params, queries, self.arrays)))
        return figures

    def floor(self, batch: int, dtype: str, steps: int) -> dict:
        program, queries = product_program(self.sizes.config(False, dtype=dtype), BEAMS, steps), self.queries(batch)
        queries = jax.device_put(queries)
        return timed(lambda: program(self.weights["t5"], queries), self.sizes.rounds, items=batch)

    @functools.cached_property
    def corpus(self) -> Any:
        """What search_peers.py takes, with the root's children on the device."""
        device = self.bench.torch_device
        import search_peers
        import torch

        root = search_peers.dict_trie(self.docids.tolist())
        walk, first = search_peers.allowed_tokens(root), torch.tensor(list(root), device=device)
        return search_peers.Corpus(self.trie, root, lambda i, beam: first if len(beam) == 1 else walk(i, beam))

    def run_peer(self, batch: int, dtype: str, found: list) -> dict:
        """Hugging Face's speed, how many of its documents we find, and by how much it is better at a rank."""
        model, corpus, queries = self.bench.peer(dtype), self.corpus, self.queries(batch)
        import search_peers
        import torch

        torch.set_float32_matmul_precision("high")
        call = functools.partial(search_peers.generate, model, corpus, queries, BEAMS)
        figures = timed(call, 3, items=batch, wait=lambda result: result.cpu())
        rows, scores, steps = search_peers.peer_lists(model, corpus, queries, BEAMS)
        there, ours = rows >= 0, found[0]
        shared = sum(len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(ours.rows, rows, strict=True))
        better = float((scores[there] - ours.scores[there]).max())
        return figures | {"steps": steps, "in_our_lists": shared / int(there.sum()), "most_better_at_a_rank": better}


def measure_search(bench: Bench) -> None:
    search, sizes = Search(bench), bench.sizes
    steps = bench.measure(f"steps, batch {sizes.batches[0]}", lambda: search.steps(sizes.batches[0])).get("steps", 9)
    for dtype in ("bfloat16", "float32"):
        ways = {f"{dtype}, batch {batch}": (batch, search.weights, {"dtype": dtype}) for batch in sizes.batches}
        if dtype == "bfloat16":
            how = {"dtype": dtype}
            for batch in sizes.peer_batches:
                ways[f"{dtype}, weights in bfloat16, batch {batch}"] = (batch, search.halved, how)
            batch = sizes.peer_batches[-1]
            ways[f"{dtype}, layers scanned, batch {batch}"] = (batch, search.stacked, how | {"scan_layers": True})
        ways = {name: way for name, way in ways.items() if bench.wanted(name)}
        programs = bench.compile({name: functools.partial(search.lower, *way) for name, way in ways.items()})

        for name, (batch, params, _) in ways.items():
            found: list = []

            def ours(name=name, batch=batch, params=params, found=found, programs=programs) -> dict:
                program, figures = programs[name].result()
                return search.run(batch, params, program, found) | figures

            entry = bench.measure(f"{name}: ours", ours)
            if found and params is search.weights:
                bench.measure(f"{name}: floor", functools.partial(search.floor, batch, dtype, steps), entry)
                if batch in sizes.peer_batches:
                    peer = functools.partial(search.run_peer, batch, dtype, found)
                    bench.measure(f"{name}: Hugging Face", peer, entry)


def measure_roads(bench: Bench) -> None:
    """Joint searches: what each road to the candidates takes, and how it grows with the corpus."""
    config, params = bench.sizes.config(False, dtype="bfloat16"), on_every_device(unstack_layers(bench.weights(False)))
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    queries = on_every_device(random_tokens(np.random.default_rng(0), bench.sizes.vocabulary, 32, 32))
    for count in bench.sizes.corpora:
        trie = DocidTrie.from_sequences(random_docids(np.random.default_rng(1), bench.sizes.vocabulary, count))
        vectors = jax.random.normal(jax.random.key(0), (count, config.d_model), jnp.bfloat16)
        vectors = Vectors(vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True))
        one = np.float32(1)
        joint = on_every_device(JointDocids(trie.arrays, trie.docids_with_ends(), vectors, one, one, -np.inf * one))
        for candidates in ("beams", "nearest", "both"):

            def lower(candidates=candidates, trie=trie, joint=joint, count=count) -> jax.stages.Lowered:
                columns, beams = np.arange(config.vocab_size), Beams.over(trie, BEAMS)
                given = {"k": BEAMS, "nearest": 100, "similarity": "cosine", "documents": count}
                return joint_program(GR2(config), beams, columns, candidates=candidates, **given).lower(
                    params, queries, joint
                )

            def run(lower=lower, joint=joint) -> dict:
                program, figures = compiled(lower)
                return timed(lambda: program(params, queries, joint), bench.sizes.rounds, items=len(queries)) | figures

            bench.measure(f"{count:,} docids, {candidates}", run)


def measure_mgcc(bench: Bench) -> None:
    for queries, per_query in bench.sizes.mgcc:
        rng, title = np.random.default_rng(0), f"{queries} x {per_query}"
        vectors = [rng.standard_normal((n, 768), dtype=np.float32) for n in (queries, queries * per_query)]
        rows = np.arange(queries * per_query).reshape(queries, per_query)
        judged = np.concatenate([rows, rng.integers(0, rows.size, (queries, 2))], axis=1)
        grades = grade_matrix(rows.reshape(-1), judged, rng.integers(0, GRADES + 1, judged.shape))[0]
        arrays = jax.device_put((*vectors, grades))
        loss = functools.partial(mgcc_loss, num_grades=GRADES, temperature=0.1)
        ours = jax.jit(jax.value_and_grad(loss, (0, 1)))
        entry = bench.measure(f"{title}: ours", functools.partial(run_program, bench, ours, arrays))
        if "ms" in entry:
            floor = functools.partial(run_program, bench, jax.jit(three_products), arrays[:2])
            bench.measure(f"{title}: floor", floor, entry)
            for precision, said_so in (("highest", "full products"), ("high", "TF32")):
                peer = functools.partial(torch_mgcc, bench, precision, ours, arrays)
                bench.measure(f"{title}: torch, {said_so}", peer, entry)


def three_products(queries: jax.Array, docids: jax.Array) -> tuple[jax.Array, jax.Array]:
    with jax.default_matmul_precision("highest"):
        scores = queries @ docids.T
        return scores @ docids, scores.T @ queries


def run_program(bench: Bench, function: Callable, arrays: tuple) -> dict:
    program, figures = compiled(lambda: function.lower(*arrays))
    return timed(lambda: program(*arrays), bench.sizes.rounds, each=20) | figures


def torch_mgcc(bench: Bench, precision: str, ours: Callable, arrays: tuple) -> dict:
    """torch's time, and how far its gradients are from ours, in units of the largest."""
    device = bench.torch_device
    import mgcc_peers
    import torch

    torch.set_float32_matmul_precision(precision)
    *vectors, grades = (torch.tensor(np.asarray(array), device=device) for array in arrays)
    leaves = [vector.requires_grad_() for vector in vectors]

    def call() -> tuple:
        value = mgcc_peers.torch_vectorised(*leaves, grades)
        return value.detach(), torch.autograd.grad(value, leaves)

    with torch.device(device):  # where the function makes a tensor of its own
        wait = torch.cuda.synchronize if device == "cuda" else lambda: None
        figures = timed(call, bench.sizes.rounds, each=20, wait=lambda _: wait())
        theirs = call()
    pairs = zip(jax.device_get(ours(*arrays)[1]), theirs[1], strict=True)
    return figures | {
        "gradient_apart": max(float(np.abs(a - b.cpu().numpy()).max() / np.abs(a).max()) for a, b in pairs)
    }


def rounded(value: Any) -> Any:
    """The same with four digits of every fraction."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if not isinstance(value, float):
        return value
    return round(value) if 1000 <= abs(value) < 1e15 else float(f"{value:.4g}")


def said(entry: dict) -> str:
    """An entry in a line."""
    entry, parts = rounded(entry), []
    for problem in ("error", "skipped"):
        if problem in entry:
            parts.append(f"{problem}: {entry[problem]}".replace("\n", " ").replace("|", "/")[:160])
    if "ms" in entry:
        parts.append("{median} ms ({least} to {most})".format(**entry["ms"]))
    parts += [f"{entry[name]:,} {unit}" for name, unit in UNITS.items() if entry.get(name) is not None]
    if "memory_gb" in entry:
        parts.append(f"{entry['memory_gb']['total']} GB")
    return ", ".join(parts) + ("" if entry.get("finite", True) else ", NOT FINITE")


PARTS = {
    "parity": measure_parity,
    "training": measure_training,
    "search": measure_search,
    "roads": measure_roads,
    "mgcc": measure_mgcc,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="accelerator.json")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", default="", help="a pattern: the other measurements are left out")
    parser.add_argument("--jobs", type=int, default=4, help="programs that compile side by side")
    parser.add_argument("--tiny", action="store_true")
    bench = Bench(parser.parse_args())
    if bench.device.platform != "gpu" and not bench.options.tiny:
        raise SystemExit(f"JAX has no GPU, only {bench.device.device_kind}: --tiny is for a CPU")
    for part in bench.options.parts:
        bench.part = part
        try:
            PARTS[part](bench)
        except Exception as error:  # outside of its measurements
            bench.entries.append({"part": part, "name": "the part", "error": f"{type(error).__name__}: {error}"[:600]})
    facts = {name: value for name, value in bench.report.items() if name not in ("versions", "settings")}
    print(", ".join(f"{name} {value}" for name, value in (facts | bench.report["versions"]).items()))
    print("\n| part | measurement | result |\n| --- | --- | --- |")
    for entry in bench.entries:
        print(f"| {entry['part']} | {entry['name']} | {said(entry)} |")


if __name__ == "__main__":
    main()
