"""Small nets on three backends, with files for Keras, ONNX, Elixir and JavaScript.

Each step from a table to a fitted net is one call::

    rows = arrays(table, inputs=["rain", "stream"], target="change")   # data frame to arrays
    train, test = split_test(rows, 0.2)                                # the last 20% of the rows
    fitted, validating = split_validation(train, 0.2)
    batches(shuffle(fitted, seed=1), 32)                               # each row keeps its target
    scale = normalisation(fitted)                                      # mean and variance of the inputs
    net = fit(Fit(layers, Training(epochs=30, batch=32), fitted, validating, scale))
    net.history                                                        # a data frame: epoch, loss, val_loss
    evaluate(net, test)                                                # mean absolute error
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
