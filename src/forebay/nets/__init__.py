"""Keras networks on three backends, with ONNX export and files for Elixir and JavaScript.

Each step from a table to a fitted net is one call:

| step | call |
| --- | --- |
| table → arrays | `arrays(table, inputs=…, target=…)` |
| training and test rows | `split_test(rows, 0.2)` |
| validation rows | `split_validation(rows, 0.2)` |
| random order, batches; each row keeps its target | `shuffle(rows, seed)`, `batches(rows, 32)` |
| mean and variance of the inputs | `normalisation(rows)` |
| fitted net | `fit(Fit(layers, Training(epochs=30, batch=32), fitted, validating))` |
| loss history as a table | `net.history` |
| prediction, mean absolute error | `predict(net, table)`, `evaluate(net, rows)` |
"""

from forebay.nets.networks import (
    Arrays,
    Fit,
    Layers,
    Network,
    Normalisation,
    Training,
    arrays,
    batches,
    evaluate,
    fit,
    fit_all,
    load,
    normalisation,
    predict,
    predict_all,
    save,
    shuffle,
    split_test,
    split_validation,
)

__all__ = [
    "Arrays", "Fit", "Layers", "Network", "Normalisation", "Training", "arrays", "batches", "evaluate", "fit",
    "fit_all", "load", "normalisation", "predict", "predict_all", "save", "shuffle", "split_test", "split_validation",
]  # fmt: skip
