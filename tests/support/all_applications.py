"""Exports every network of keras.applications, dense and pruned, and says what came of it.

    python tests/support/all_applications.py results.json [NAME...]

Each network has random weights and its full width, on images of 96 pixels; 80 % of its weights are
pruned, and dead units cut out. Where the answers of random weights explode (and rounding with them,
so that nothing can be compared), the moving statistics of batch normalization are first taken from
the images, as training would do; one that still can't be compared says how far Keras itself is off.
Each is exported in a process of its own, so that one that takes too much memory or time is told of
and stops no other. What is in the file already isn't done again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PIXELS = 96
_SPARSITY = 0.8
_EXPLODED = 1e3
_SECONDS = 3600


def names() -> list[str]:
    """The functions of keras.applications that make a network."""
    import keras

    found = vars(keras.applications).items()
    return sorted(name for name, value in found if callable(value) and name[0].isupper())


def export_one(name: str) -> dict[str, object]:
    """Exports one network both ways; returns what was seen."""
    import keras
    import numpy as np

    from tfticket.errors import ExportError
    from tfticket.export import prepare, to_tflite
    from tfticket.sparsity import LayerwisePruner, Mask
    from tfticket.state import prunable_variables
    from tfticket.statistics import recalibrate

    keras.utils.set_random_seed(0)
    options = {"weights": None, "input_shape": (_PIXELS, _PIXELS, 3), "classifier_activation": None}
    model = getattr(keras.applications, name)(**options)
    x = np.random.default_rng(0).random((2, _PIXELS, _PIXELS, 3)).astype("float32")
    seen: dict[str, object] = {"parameters": model.count_params()}
    amplified = ""
    if np.abs(model(x, training=False)).max() > _EXPLODED:
        recalibrate(model, [keras.ops.convert_to_tensor(x)])
        seen["statistics"] = "of the images"
        amplified = _amplified(name, options, model, x)
    with tempfile.TemporaryDirectory() as folder:
        try:
            dense = to_tflite(model, Path(folder) / "dense.tflite", check_on=(x, None))
        except ExportError as error:
            raise SystemExit(f"{error} {amplified}".strip()) from error
        weights = {key: v.numpy() for key, v in prunable_variables(model).items()}
        mask = LayerwisePruner().prune(
            {key: np.abs(array) for key, array in weights.items()},
            Mask.ones({key: array.shape for key, array in weights.items()}),
            _SPARSITY,
        )
        for key, variable in prunable_variables(model).items():
            variable.assign(np.where(mask[key], weights[key], 0.0))
        del weights
        prepared = prepare(model, mask)
        sparse = to_tflite(prepared.model, Path(folder) / "sparse.tflite", check_on=(x, None))
    return seen | {
        "dense_bytes": dense.size_bytes,
        "dense_difference": dense.verification.relative_difference,
        "pruned_gzip": sparse.gzip_bytes,
        "pruned_difference": sparse.verification.relative_difference,
        "norms_folded": len(prepared.folded),
        "units_removed": prepared.units_removed,
    }


def _amplified(name: str, options: dict[str, Any], model: Any, x: Any) -> str:
    """How far Keras itself is from double precision: what no file can be nearer to it than."""
    import keras
    import numpy as np

    keras.config.set_dtype_policy("float64")
    precise = getattr(keras.applications, name)(**options)
    keras.config.set_dtype_policy("float32")
    precise.set_weights(model.get_weights())
    expected = np.asarray(precise(x.astype("float64"), training=False))
    error = np.abs(np.asarray(model(x, training=False)) - expected).max()
    return (
        "Such weights amplify rounding: Keras' answers in float32 are off from those in float64 by "
        f"{error / np.abs(expected).max():.2g} of the largest."
    )


def _reason(status: int, lines: list[str]) -> str:
    if status == -signal.SIGKILL:
        return "ended by SIGKILL: the system does that when memory is short"
    return (lines or [f"exit status {status}"])[-1]


def main(output: Path, wanted: list[str]) -> None:
    """Exports all networks that aren't in the file yet."""
    results = json.loads(output.read_text()) if output.is_file() else {}
    for name in wanted or names():
        if name in results:
            continue
        began = time.perf_counter()
        command = [sys.executable, __file__, "--one", name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            found = (
                json.loads(done.stdout.splitlines()[-1])
                if done.returncode == 0
                else {"failure": _reason(done.returncode, lines)}
            )
        except subprocess.TimeoutExpired:
            found = {"failure": f"took longer than {_SECONDS} s here"}
        results[name] = found | {"seconds": round(time.perf_counter() - began, 1)}
        output.write_text(json.dumps(results, indent=1) + "\n")
        print(name, results[name], flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        print(json.dumps(export_one(sys.argv[2])))
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
