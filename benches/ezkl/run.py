#!/usr/bin/env python3
"""Times EZKL on one LoRA projection y = W x + B (A x): one token, W of N x N, rank R.

Weights are fixed in the circuit (part of the verifying key, as a registered model is), input and output are public.
Settings are EZKL's defaults after its own calibration for resources. The SRS is made locally by `ezkl.gen_srs`: like
Lorica's development SRS it is insecure and good for timing only. Every stage runs in a process of its own, so that its
peak memory can be told; a stage is timed inside the process, without Python's start.

With --lorica, Lorica's own benchmark runs right after, and both are compared by the time of a proof per multiply-add of
the float model. That flatters whoever proves more at once: a projection this small pays mostly for EZKL's fixed costs,
hence the second, larger one.

Prints a table for people, and one JSON object as the last line.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = 20260101

# all-MiniLM-L6-v2 with the adapter debian-qv-r8, one text of 32 tokens, classified.
TOKENS, LAYERS, HIDDEN, MIDDLE, ADAPTED, RANK = 32, 6, 384, 1536, 2, 8
LORICA_MULTIPLY_ADDS = (
    LAYERS * TOKENS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * MIDDLE)  # linear layers
    + LAYERS * 2 * TOKENS * TOKENS * HIDDEN  # attention: scores and values
    + LAYERS * TOKENS * ADAPTED * 2 * RANK * HIDDEN  # LoRA
    + HIDDEN * HIDDEN  # pooler
)


def projection(size, rank):
    """W, A, B and x, of a size at which neither x nor y is far from 1."""
    import numpy

    random = numpy.random.default_rng(SEED)
    weights = random.normal(size=(size, size)) / size**0.5
    down = random.normal(size=(rank, size)) / size**0.5
    up = random.normal(size=(size, rank)) / (4 * rank**0.5)
    token = random.normal(size=(1, size))
    return [matrix.astype("float32") for matrix in (weights, down, up, token)]


def write_model(size, rank):
    """model.onnx and input.json."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights, down, up, token = projection(size, rank)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "W"], ["base"]),
            helper.make_node("MatMul", ["x", "A"], ["low"]),
            helper.make_node("MatMul", ["low", "B"], ["adapted"]),
            helper.make_node("Add", ["base", "adapted"], ["y"]),
        ],
        "lora",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, size])],
        [numpy_helper.from_array(matrix.T.copy(), name) for name, matrix in (("W", weights), ("A", down), ("B", up))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, "model.onnx")
    Path("input.json").write_text(json.dumps({"input_data": token.tolist()}))
    expected = token @ weights.T + (token @ down.T) @ up.T
    Path("expected.json").write_text(json.dumps(expected[0].tolist()))


def stage(name, size, rank):
    """Runs one stage in the current folder and returns its seconds."""
    import ezkl

    def run(function, *arguments, **named):
        if function(*arguments, **named) is False:
            raise SystemExit(f"ezkl.{function.__name__} returned false")

    if name == "model":
        write_model(size, rank)
        return 0.0
    if name == "calibrate":
        start = time.perf_counter()
        run(ezkl.gen_settings, "model.onnx", "settings.json", py_run_args=ezkl.PyRunArgs())
        run(
            ezkl.calibrate_settings,
            "input.json",
            "model.onnx",
            "settings.json",
            "resources",
            lookup_safety_margin=2.0,
            scale_rebase_multiplier=[1],
        )
        run(ezkl.compile_circuit, "model.onnx", "circuit.ezkl", "settings.json")
        return time.perf_counter() - start
    if name == "srs":
        start = time.perf_counter()
        ezkl.gen_srs("kzg.srs", json.loads(Path("settings.json").read_text())["run_args"]["logrows"])
        return time.perf_counter() - start
    if name == "setup":
        start = time.perf_counter()
        run(ezkl.setup, "circuit.ezkl", "vk.key", "pk.key", srs_path="kzg.srs", disable_selector_compression=False)
        return time.perf_counter() - start
    if name == "prove":
        # The witness belongs to the time of a proof, as execution does in Lorica's.
        start = time.perf_counter()
        ezkl.gen_witness("input.json", "circuit.ezkl", "witness.json")
        ezkl.prove("witness.json", "circuit.ezkl", "pk.key", "proof.json", srs_path="kzg.srs")
        return time.perf_counter() - start
    if name == "verify":
        start = time.perf_counter()
        run(ezkl.verify, "proof.json", "settings.json", "vk.key", srs_path="kzg.srs", reduced_srs=False)
        return time.perf_counter() - start
    raise SystemExit(f"no stage is called {name}")


def in_process(name, size, rank, folder):
    """A stage in a process of its own: seconds, peak memory in bytes, seconds of all cores together with Python's start."""
    command = [sys.executable, __file__, "--stage", name, "--size", str(size), "--rank", str(rank)]
    with open(folder / f"{name}.log", "w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        lines = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"the stage {name} failed\n" + "\n".join(lines) + log.read()[-4000:])
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return float(lines[-1]), usage.ru_maxrss * unit, usage.ru_utime + usage.ru_stime


def measure(size, rank, runs):
    with tempfile.TemporaryDirectory(prefix="lorica-ezkl-") as name:
        folder = Path(name)
        in_process("model", size, rank, folder)
        spent = {stage: in_process(stage, size, rank, folder) for stage in ("calibrate", "srs", "setup")}
        for stage in ("prove", "verify"):
            spent[stage] = min(in_process(stage, size, rank, folder) for _ in range(runs))
        settings = json.loads((folder / "settings.json").read_text())
        proof = json.loads((folder / "proof.json").read_text())
        expected = json.loads((folder / "expected.json").read_text())
        witness = json.loads((folder / "witness.json").read_text())
        outputs = [float(value) for value in witness["pretty_elements"]["rescaled_outputs"][0]]
        norm = lambda vector: sum(value * value for value in vector) ** 0.5
        product = sum(left * right for left, right in zip(outputs, expected))
        return {
            "size": size,
            "rank": rank,
            "multiply_adds": size * size + 2 * size * rank,
            "logrows": settings["run_args"]["logrows"],
            "input_scale": settings["run_args"]["input_scale"],
            "param_scale": settings["run_args"]["param_scale"],
            "seconds": {stage: seconds for stage, (seconds, _, _) in spent.items()},
            "peak_bytes": {stage: peak for stage, (_, peak, _) in spent.items()},
            "cpu_seconds": {stage: cpu for stage, (_, _, cpu) in spent.items()},
            "proof_bytes": len(proof["proof"]),
            "proof_file_bytes": (folder / "proof.json").stat().st_size,
            "verifying_key_bytes": (folder / "vk.key").stat().st_size,
            "proving_key_bytes": (folder / "pk.key").stat().st_size,
            "largest_error": max(abs(left - right) for left, right in zip(outputs, expected)),
            "cosine": product / (norm(outputs) * norm(expected)),
        }


def lorica():
    """Seconds of Lorica's proof of 32 tokens by tau, from `cargo bench`."""
    command = "cargo bench --locked --package lorica --bench prove -- --quick".split()
    root = Path(__file__).resolve().parents[2]
    output = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout
    print(output, end="")
    seconds, tau = {}, None
    for line in output.splitlines():
        if match := re.match(r"tau (\d+): base", line):
            tau = int(match[1])
        elif match := re.match(rf"\s+1\s+{TOKENS}\s+([\d.]+) (s|ms)\s", line):
            seconds[tau] = float(match[1]) * {"s": 1.0, "ms": 1e-3}[match[2]]
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, action="append", help="N; may be given again (64 and 384)")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3, help="the best of so many proofs and checks")
    parser.add_argument("--lorica", action="store_true", help="run Lorica's benchmark too, and compare")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = arguments.size or [64, 384]
    if arguments.stage:
        print(stage(arguments.stage, sizes[0], arguments.rank))
        return
    results = [measure(size, arguments.rank, arguments.runs) for size in sizes]
    print("projection   rows   setup     prove     check     proof     memory (prove)  per multiply-add  cosine")
    for result in results:
        seconds = result["seconds"]
        print(
            f"{result['size']:>4} x {result['size']:<4}  2^{result['logrows']:<3}"
            f" {seconds['setup']:>7.2f} s {seconds['prove']:>7.2f} s {seconds['verify'] * 1000:>6.1f} ms"
            f" {result['proof_bytes'] / 1000:>7.1f} kB {result['peak_bytes']['prove'] / 1e9:>11.2f} GB"
            f" {seconds['prove'] / result['multiply_adds'] * 1e6:>14.2f} us  {result['cosine']:.6f}"
        )
    own = lorica() if arguments.lorica else {}
    for tau, seconds in own.items():
        print(
            f"Lorica, tau {tau}: {LORICA_MULTIPLY_ADDS} multiply-adds in {seconds:.2f} s,"
            f" {seconds / LORICA_MULTIPLY_ADDS * 1e9:.2f} ns each"
        )
        for result in results:
            ratio = result["seconds"]["prove"] / result["multiply_adds"] / (seconds / LORICA_MULTIPLY_ADDS)
            print(f"    EZKL at {result['size']} x {result['size']}: {ratio:,.0f} times as long per multiply-add")
    print(
        json.dumps(
            {
                "schema": "lorica.bench.ezkl/1",
                "ezkl": results,
                "lorica": {"multiply_adds": LORICA_MULTIPLY_ADDS, "seconds": own},
            }
        )
    )


if __name__ == "__main__":
    main()
