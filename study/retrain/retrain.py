#!/usr/bin/env python3
"""Trains the fixture's adapter again, in all six layers, on parts of the records: the truth of `attribution-study --truth`.

    python3 retrain.py check MODEL_DIR                        the fixture's adapter under this file's model: its accuracy
    python3 retrain.py train MODEL_DIR RUNS [--minutes N]     one model after the other, each a file in RUNS
    python3 retrain.py pack RUNS QUESTIONS OUT                all of them as one JSON file
    python3 retrain.py show RUNS                              what has been trained

MODEL_DIR is a folder with all-MiniLM-L6-v2 (`lorica model fetch minilm` makes one). Needs the packages of requirements.txt; never runs in
CI. `train` can be stopped at any time and goes on where it stopped. QUESTIONS is written by
`attribution-study --write-questions FILE`: the held-out rows that are asked, and what the integer adapter answers.

The recipe is that of fixtures/train_adapters.py for `debian-qv-r8`: LoRA of rank 8 and alpha 16 on query and value of every layer, and
a new classifier; AdamW and a one-cycle rate, six epochs, batches of 32, dropout where BERT and PEFT have it. Differences: texts in a batch are nearer
to each other in length, and a chance of dropout is counted in 256ths. One seed means the same first weights and the same
random numbers per record and epoch for every subset, so that models differ by their records and by little else.
"""

import argparse
import functools
import hashlib
import json
import os
import time
from pathlib import Path

# Before jax is imported: one thread.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
ADAPTER = FIXTURES / "adapters" / "debian-qv-r8"

# The base.
LAYERS, HEADS, HIDDEN, INNER = 6, 12, 384, 1536
EPSILON = 1e-12
MAX_TOKENS = 128

# The recipe.
RANK, ALPHA = 8, 16
EPOCHS, BATCH, PEAK, DECAY = 6, 32, 2e-3, 0.01
WARM_UP, START_FROM, END_FROM = 0.1, 25.0, 1e4
BETA_HIGH, BETA_LOW, BETA2, TINY = 0.95, 0.85, 0.999, 1e-8
# Chances of dropout in 256ths: 0.1 of BERT, 0.05 of the adapter.
DROP_BERT, DROP_LORA = 26, 13
# Texts are sorted by tokens and up to so many random ones.
NOISE = 2.0
# Lengths that a batch is padded to: each is compiled once.
LENGTHS = [8, 10, 12, 14, 16, 20, 26, 32, 44, 64, 96, 128]

# Those of study/src: truth.rs and main.rs.
RECORD_SEED, CONTRIBUTOR_SEED, QUESTION_SEED = 10_000, 20_000, 40_000
QUESTIONS = 200
# Seeds of training: the first for all subsets, the second for some.
SEEDS = (17, 18)
# Log-odds are packed in thousandths.
UNIT = 1000
FORMAT = "lorica-retrained-1"


class Random:
    """SplitMix64, and its uses, as study/src/random.rs has them."""

    def __init__(self, seed: int):
        self.state = seed

    def bits(self) -> int:
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        return (self.bits() * bound) >> 64

    def choose(self, count: int, bound: int) -> list[int]:
        """Different numbers below `bound`, ascending."""
        every = list(range(bound))
        for i in range(count):
            other = i + self.below(bound - i)
            every[i], every[other] = every[other], every[i]
        return sorted(every[:count])


class Rows:
    """A part of the fixture with its token ids."""

    def __init__(self, part: str, tokenizer: Tokenizer | None):
        self.path = FIXTURES / "debian" / f"{part}.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        names = json.loads((ADAPTER / "labels.json").read_text())
        self.labels = np.array([names.index(row["label"]) for row in rows], np.int32)
        numbers: dict[str, int] = {}
        self.contributors = [numbers.setdefault(row["contributor"], len(numbers)) for row in rows]
        self.tokens = [tokenizer.encode(row["text"]).ids for row in rows] if tokenizer else []

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def subset(level: str, number: int, records: Rows) -> np.ndarray:
    """Which records a model sees."""
    seen = np.zeros(len(records), bool)
    if level == "full":
        seen[:] = True
    elif level == "records":
        seen[Random(RECORD_SEED + number).choose(len(records) // 2, len(records))] = True
    else:
        random = Random(CONTRIBUTOR_SEED + number)
        chosen = [random.below(2) == 0 for _ in range(max(records.contributors) + 1)]
        seen[:] = [chosen[contributor] for contributor in records.contributors]
    return seen


# The model.


def load_base(folder: Path) -> dict:
    """The weights in the order in which rows are multiplied from the left."""
    raw = load_file(folder / "model.safetensors")
    get = lambda name: jnp.asarray(raw[name].astype(np.float32))
    turned = lambda name: jnp.asarray(np.ascontiguousarray(raw[name].astype(np.float32).T))
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "mix": "attention.output.dense",
        "up": "intermediate.dense",
        "down": "output.dense",
    }
    norms = {"norm1": "attention.output.LayerNorm", "norm2": "output.LayerNorm"}

    def layer(index: int) -> dict:
        at = f"encoder.layer.{index}."
        linear = {k: (turned(f"{at}{n}.weight"), get(f"{at}{n}.bias")) for k, n in parts.items()}
        return linear | {k: (get(f"{at}{n}.weight"), get(f"{at}{n}.bias")) for k, n in norms.items()}

    embedding = "embeddings."
    return {
        "words": get(embedding + "word_embeddings.weight"),
        # Every text is of the first type.
        "places": get(embedding + "position_embeddings.weight")[:MAX_TOKENS]
        + get(embedding + "token_type_embeddings.weight")[0],
        "norm": (get(embedding + "LayerNorm.weight"), get(embedding + "LayerNorm.bias")),
        "layers": [layer(index) for index in range(LAYERS)],
        "pooler": (turned("pooler.dense.weight"), get("pooler.dense.bias")),
    }


def load_adapter() -> dict:
    """The fixture's adapter in the form of what is trained here."""
    raw = load_file(ADAPTER / "adapter_model.safetensors")
    turned = lambda name: jnp.asarray(np.ascontiguousarray(raw[name].T))
    self_attention = "base_model.model.bert.encoder.layer.{}.attention.self.{}.lora_{}.weight"
    pair = lambda index, part: tuple(turned(self_attention.format(index, part, side)) for side in "AB")
    layers = [{part: pair(index, part) for part in ("query", "value")} for index in range(LAYERS)]
    (head,) = [name for name in raw if "classifier" in name and name.endswith("weight")]
    bias = head.removesuffix("weight") + "bias"
    return {"layers": layers, "head": (turned(head), jnp.asarray(raw[bias]))}


def normalise(x, norm):
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * norm[0] + norm[1]


def linear(x, part):
    return x @ part[0] + part[1]


def heads(x):
    return x.reshape(*x.shape[:2], HEADS, HIDDEN // HEADS)


def logits(base, adapter, ids, mask, drop):
    """`[batch, labels]`. Only the first place is computed where only it is read: in the last layer after its keys and values."""

    def adapted(name, x, layer, lora):
        a, b = lora[name]
        return linear(x, layer[name]) + (ALPHA / RANK) * ((drop(x, DROP_LORA) @ a) @ b)

    x = normalise(base["words"][ids] + base["places"][: ids.shape[1]], base["norm"])
    x = drop(x, DROP_BERT)
    far = jnp.where(mask, 0.0, -1e9)[:, None, None, :]
    for index, (layer, lora) in enumerate(zip(base["layers"], adapter["layers"])):
        asked = x[:, :1] if index + 1 == LAYERS else x
        query = heads(adapted("query", asked, layer, lora))
        key = heads(linear(x, layer["key"]))
        value = heads(adapted("value", x, layer, lora))
        near = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(HIDDEN // HEADS)
        near = drop(jax.nn.softmax(near + far, axis=-1), DROP_BERT)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", near, value).reshape(asked.shape)
        x = normalise(asked + drop(linear(mixed, layer["mix"]), DROP_BERT), layer["norm1"])
        inner = linear(x, layer["up"])
        inner = 0.5 * inner * (1.0 + jax.lax.erf(inner * np.float32(np.sqrt(0.5))))
        x = normalise(x + drop(linear(inner, layer["down"]), DROP_BERT), layer["norm2"])
    pooled = jnp.tanh(linear(x[:, 0], base["pooler"]))
    return linear(drop(pooled, DROP_BERT), adapter["head"])


class Dropout:
    """Drops by random octets from outside, so that a run is a function of numpy's generator and not of jax's."""

    def __init__(self, octets):
        self.octets, self.used = octets, 0

    def __call__(self, x, chance):
        octets = self.octets[self.used : self.used + x.size].reshape(x.shape)
        self.used += x.size
        return jnp.where(octets >= chance, x * np.float32(256 / (256 - chance)), 0.0)


def octets_needed(length: int) -> int:
    tokens, attention = BATCH * length, BATCH * HEADS * length
    inner = (LAYERS - 1) * (4 * tokens * HIDDEN + attention * length)
    # Embeddings and the last layer's values; its query, both outputs and the pooled vector; its attention.
    return inner + 2 * tokens * HIDDEN + 4 * BATCH * HIDDEN + attention


# Training.


def loss(adapter, base, ids, mask, labels, weights, octets):
    drop = Dropout(octets)
    z = logits(base, adapter, ids, mask, drop)
    assert drop.used == octets.size
    own = jnp.take_along_axis(jax.nn.log_softmax(z), labels[:, None], axis=1)[:, 0]
    return -(own * weights).sum() / weights.sum()


@functools.partial(jax.jit, donate_argnums=(1, 2, 3))
def step(base, adapter, first, second, count, rate, beta, ids, mask, labels, weights, octets):
    """A step of AdamW (Loshchilov, Hutter, 2019) with the decay apart from the gradient."""
    gradient = jax.grad(loss)(adapter, base, ids, mask, labels, weights, octets)
    tree = jax.tree.map
    first = tree(lambda m, g: beta * m + (1 - beta) * g, first, gradient)
    second = tree(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)

    def moved(p, m, v):
        size = jnp.sqrt(v) / jnp.sqrt(1 - BETA2**count) + TINY
        return p * (1 - rate * DECAY) - rate / (1 - beta**count) * m / size

    return tree(moved, adapter, first, second), first, second


@jax.jit
def answer(base, adapter, ids, mask):
    return logits(base, adapter, ids, mask, lambda x, _: x)


def one_cycle(number: int, steps: int) -> tuple[float, float]:
    """Rate and first momentum of a step: both on cosines, the one up and down, the other down and up."""
    turn = WARM_UP * steps - 1
    between = lambda a, b, part: b + (a - b) / 2 * (1 + np.cos(np.pi * part))
    if number <= turn:
        part = number / turn
        return between(PEAK / START_FROM, PEAK, part), between(BETA_HIGH, BETA_LOW, part)
    part = (number - turn) / (steps - 1 - turn)
    return between(PEAK, PEAK / START_FROM / END_FROM, part), between(BETA_LOW, BETA_HIGH, part)


def first_adapter(seed: int, labels: int) -> dict:
    """PEFT's first weights: uniform A, no B; BERT's for the head."""
    random = np.random.Generator(np.random.PCG64([seed, 1]))
    bound = 1 / np.sqrt(HIDDEN)

    def pair():
        a = random.uniform(-bound, bound, (HIDDEN, RANK)).astype(np.float32)
        return jnp.asarray(a), jnp.zeros((RANK, HIDDEN), jnp.float32)

    layers = [{part: pair() for part in ("query", "value")} for _ in range(LAYERS)]
    head = random.normal(0, 0.02, (HIDDEN, labels)).astype(np.float32)
    return {"layers": layers, "head": (jnp.asarray(head), jnp.zeros(labels, jnp.float32))}


def padded(tokens: list[list[int]]):
    """Ids and mask of a batch, filled up to BATCH texts."""
    most = max(map(len, tokens))
    length = next(length for length in LENGTHS if length >= most)
    ids, mask = np.zeros((BATCH, length), np.int32), np.zeros((BATCH, length), bool)
    # A row without a text attends to its first place.
    mask[:, 0] = True
    for i, own in enumerate(tokens):
        ids[i, : len(own)], mask[i, : len(own)] = own, True
    return ids, mask


def train(base, records: Rows, seen: np.ndarray, seed: int) -> dict:
    order_of, drops = (np.random.Generator(np.random.SFC64([seed, k])) for k in (2, 3))
    lengths = np.array([len(own) for own in records.tokens])
    chosen = np.flatnonzero(seen)
    steps = EPOCHS * -(-len(chosen) // BATCH)
    adapter = first_adapter(seed, int(records.labels.max()) + 1)
    first, second = (jax.tree.map(jnp.zeros_like, adapter) for _ in range(2))
    count = 0
    for _ in range(EPOCHS):
        key = lengths + NOISE * order_of.random(len(records))
        order = chosen[np.argsort(key[chosen], kind="stable")]
        groups = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for group in order_of.permutation(len(groups)):
            rows = groups[group]
            ids, mask = padded([records.tokens[i] for i in rows])
            labels, weights = np.zeros(BATCH, np.int32), np.zeros(BATCH, np.float32)
            labels[: len(rows)], weights[: len(rows)] = records.labels[rows], 1.0
            octets = np.frombuffer(drops.bytes(octets_needed(ids.shape[1])), np.uint8)
            rate, beta = map(np.float32, one_cycle(count, steps))
            count += 1
            adapter, first, second = step(
                base, adapter, first, second, np.float32(count), rate, beta, ids, mask, labels, weights, octets
            )
    return adapter


def answers(base, adapter, rows: Rows) -> np.ndarray:
    """Logits of all rows."""
    order = np.argsort([len(own) for own in rows.tokens], kind="stable")
    out = None
    for start in range(0, len(order), BATCH):
        group = order[start : start + BATCH]
        z = np.asarray(answer(base, adapter, *padded([rows.tokens[i] for i in group])))
        out = np.zeros((len(order), z.shape[1]), np.float32) if out is None else out
        out[group] = z[: len(group)]
    return out


def accuracy(z: np.ndarray, rows: Rows) -> float:
    return float((z.argmax(1) == rows.labels).mean())


# The runs.


def jobs(most: int = 1000):
    """Level, number of the subset, seed: in an order in which every count is of use."""
    yield "full", 0, SEEDS[0]
    for number in range(most):
        yield "records", number, SEEDS[0]
        yield "contributors", number, SEEDS[0]
        if number == 1:
            # What another seed changes.
            for again in range(2):
                yield "records", again, SEEDS[1]
                yield "contributors", again, SEEDS[1]


def run_file(runs: Path, job) -> Path:
    return runs / "{}-{:03}-{}.npz".format(*job)


def load_all(model: Path):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return load_base(model), Rows("train", tokenizer), Rows("heldout", tokenizer)


def command_check(arguments) -> None:
    base, _, held_out = load_all(arguments.model)
    z = answers(base, load_adapter(), held_out)
    print(f"held-out accuracy of {ADAPTER.name}: {accuracy(z, held_out):.4f}")


def command_train(arguments) -> None:
    runs = arguments.runs
    runs.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(runs / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    base, records, held_out = load_all(arguments.model)
    end = time.monotonic() + 60 * arguments.minutes
    longest = 0.0
    for job in jobs(arguments.most):
        path = run_file(runs, job)
        if path.exists():
            continue
        if time.monotonic() + longest > end:
            break
        start, used = time.monotonic(), time.process_time()
        seen = subset(job[0], job[1], records)
        z = answers(base, train(base, records, seen, job[2]), held_out)
        wall, used = time.monotonic() - start, time.process_time() - used
        # The first also compiles.
        longest = wall
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, logits=z, seconds=wall, processor_seconds=used)
        partial.replace(path)
        told = f"accuracy {accuracy(z, held_out):.4f}, {wall:.0f} s, {used:.0f} s of the processor"
        print(f"{path.stem}: {seen.sum()} records, {told}", flush=True)


def trained(runs: Path):
    for path in sorted(runs.glob("*-*-*.npz")):
        if path.stem.endswith(".partial"):
            continue
        level, number, seed = path.stem.split("-")
        with np.load(path) as file:
            yield (level, int(number), int(seed)), {name: file[name] for name in file.files}


def log_odds(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`log p/(1 − p)` of one label per row."""
    z = z.astype(np.float64)
    own = np.take_along_axis(z, labels[:, None], axis=1)[:, 0]
    others = z.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    most = others.max(1)
    return own - most - np.log(np.exp(others - most[:, None]).sum(1))


def packed_subset(seen: np.ndarray) -> str:
    """A bit per record, the first the highest of the first octet, in hexadecimal."""
    return np.packbits(seen).tobytes().hex()


def command_pack(arguments) -> None:
    records, held_out = Rows("train", None), Rows("heldout", None)
    asked = json.loads(arguments.questions.read_text())
    rows, labels = asked["questions"], np.array(asked["answers"])
    if rows != Random(QUESTION_SEED).choose(QUESTIONS, len(held_out)):
        raise SystemExit(f"{arguments.questions}: other questions than this script's")
    if asked["held_out"] != held_out.digest():
        raise SystemExit(f"{arguments.questions}: another held-out file")
    full, models = [], []
    for (level, number, seed), run in trained(arguments.runs):
        z = run["logits"]
        odds = log_odds(z[rows], labels)
        model = {
            "seed": seed,
            "accuracy": round(accuracy(z, held_out), 4),
            "log_odds": [int(value) for value in np.rint(odds * UNIT)],
        }
        if level == "full":
            full.append(model)
        else:
            seen = packed_subset(subset(level, number, records))
            models.append({"level": level, "subset": number, "seen": seen} | model)
    head = {
        "format": FORMAT,
        "unit": UNIT,
        "records": records.digest(),
        "held_out": held_out.digest(),
        "questions": rows,
        "answers": asked["answers"],
    }
    # A line per model, so that a change can be read.
    lines = lambda values: "[\n" + ",\n".join(json.dumps(value, separators=(",", ":")) for value in values) + "\n]"
    body = [f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in head.items()]
    body += [f'"full":{lines(full)}', f'"models":{lines(models)}']
    arguments.out.write_text("{" + ",\n".join(body) + "}\n")
    print(f"{len(full)} models of all records, {len(models)} of parts")


def command_show(arguments) -> None:
    held_out = Rows("heldout", None)
    by_level: dict[str, list] = {}
    for (level, _, seed), run in trained(arguments.runs):
        by_level.setdefault(level, []).append((accuracy(run["logits"], held_out), float(run["processor_seconds"])))
    for level, own in by_level.items():
        right, seconds = np.array(own).T
        print(
            f"{level}: {len(own)} models, accuracy {right.mean():.4f} ({right.min():.4f} to {right.max():.4f}), "
            f"{np.median(seconds):.0f} s of the processor each"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)

    def add(name, run):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        return command

    own = add("check", command_check)
    own.add_argument("model", type=Path)
    own = add("train", command_train)
    own.add_argument("model", type=Path)
    own.add_argument("runs", type=Path)
    own.add_argument("--minutes", type=float, default=60.0, help="no training begins that would end later")
    own.add_argument("--most", type=int, default=60, help="subsets per level")
    own = add("pack", command_pack)
    own.add_argument("runs", type=Path)
    own.add_argument("questions", type=Path)
    own.add_argument("out", type=Path)
    own = add("show", command_show)
    own.add_argument("runs", type=Path)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
