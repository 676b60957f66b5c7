"""Trains many nets of one shape in one compiled program of jax, with the formulas of Keras.

`backends.run` calls `fit_group`; `networks` is the interface for callers. The initial weights, the orders of the rows
and the dropout are drawn with numpy, per net and from its seed alone. The program trains `NETS` nets for one epoch, and
receives the rows of all steps in the order of that epoch. A group has at most so many nets, and a smaller one runs with
empty nets. All groups therefore use the same program, and a net is the same to the last bit in every group.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forebay.nets import backends
from forebay.nets.backends import Item, Progress, Task
from forebay.nets.layers import Layers, scaled
from forebay.nets.rows import Floats, Normalisation

Parameters: TypeAlias = list[Floats]
"""Kernel and bias of each dense layer, from input to output."""
Values: TypeAlias = Any  # arrays of jax inside a program; jax is imported late and untyped without its stubs

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Adam's constants: the defaults of Keras."""
NETS = 8
"""Nets of one call of the program. With 1 net the time of a call is mostly that of its 30 operations per step."""
THREADS = 2
"""Groups at a time: the program of a small net uses one core."""
_DRAWS = 65536  # the dropout compares 16 random bits with its share
_VALIDATION_ROWS = 256


@dataclass(frozen=True)
class Plan:
    """What the nets of one group have in common; `layers` without the normalisation, which the rows have already."""

    layers: Layers
    inputs: int
    epochs: int
    batch: int
    rate: float
    reshuffle: bool

    def widths(self) -> tuple[int, ...]:
        """Number of inputs of each layer."""
        widths = [self.inputs]
        for kind, number in self.layers:
            widths.append(int(number) if kind == "dense" else widths[-1])
        return tuple(widths[:-1])

    def dropout_width(self) -> int:
        """Sum of the widths of the dropout layers: random numbers per row."""
        return sum(width for (kind, _), width in zip(self.layers, self.widths(), strict=True) if kind == "dropout")


@dataclass(frozen=True)
class Rows:
    """Scaled inputs (n, k) and target (n,) of one net."""

    inputs: Floats
    target: Floats


def fit_items(items: Sequence[Item], progress: Progress | None = None) -> list[Item]:
    """Parameters and losses of the net of each item of `networks`, in order; nets of one shape are trained together."""
    groups: list[list[int]] = []
    open_groups: dict[str, list[int]] = {}
    keys = [_shape_key(item) for item in items]
    for number, key in enumerate(keys):
        if len(open_groups.get(key, [])) in (0, NETS):
            open_groups[key] = []
            groups.append(open_groups[key])
        open_groups[key].append(number)
    # The shapes in turn, so that two threads compile two programs
    firsts = [group[0] for group in groups]
    ranks = {first: sum(keys[earlier] == keys[first] for earlier in firsts if earlier < first) for first in firsts}
    groups.sort(key=lambda group: ranks[group[0]])
    sizes = np.cumsum([len(group) for group in groups])
    joined = [backends.join_items([items[number] for number in group]) for group in groups]
    report = (lambda count: progress(int(sizes[count - 1]))) if progress else None
    threads = min(THREADS, len(groups))
    trained = backends.run(Task(__name__, "fit_group"), joined, backend="jax", threads=threads, progress=report)
    results: dict[int, Item] = {}
    for group, result in zip(groups, trained, strict=True):
        results.update(zip(group, backends.split_items(result), strict=True))
    return [results[number] for number in range(len(items))]


def _shape_key(item: Item) -> str:
    """Text that is equal for the nets that one program trains together: the plan without the seed, and the inputs."""
    plan = json.loads(str(item["plan"]))
    layers = [layer for layer in plan["layers"] if layer[0] != "normalisation"]
    settings = {name: value for name, value in plan.items() if name not in ("layers", "seed")}
    return json.dumps([layers, settings, item["x"].shape[1], "val_x" in item])


def parameter(number: int) -> str:
    """Name of a net's parameter in an item."""
    return f"parameter {number}"


def fit_group(group: Item) -> Item:
    """Parameters and losses of each net of a group, from the items `N/name` of `networks`."""
    items = backends.split_items(group)
    plans = [json.loads(str(item["plan"])) for item in items]
    layers = tuple((str(kind), float(number)) for kind, number in plans[0]["layers"])
    plan = Plan(
        tuple(layer for layer in layers if layer[0] != "normalisation"), items[0]["x"].shape[1],
        **{name: plans[0][name] for name in ("epochs", "batch", "rate", "reshuffle")},
    )  # fmt: skip

    def rows(item: Item, inputs: str, target: str) -> Rows:
        if json.loads(str(item["plan"]))["layers"][0][0] != "normalisation":
            return Rows(item[inputs], item[target])
        return Rows(scaled(item[inputs], Normalisation(item["mean"], item["variance"])), item[target])

    fitted = [rows(item, "x", "y") for item in items]
    validating = [rows(item, "val_x", "val_y") for item in items if "val_x" in item]
    draws = [np.random.default_rng(one["seed"]) for one in plans]
    start = [initial_parameters(plan, random) for random in draws]
    parameters, losses = train(plan, start, fitted, validating, draws)
    results: list[Item] = [
        {name: column[k] for name, column in losses.items()}
        | {parameter(number): values[k] for number, values in enumerate(parameters)}
        for k in range(len(items))
    ]
    return backends.join_items(results)


def initial_parameters(plan: Plan, random: np.random.Generator) -> Parameters:
    """Kernels uniform within ±√(6 / (inputs + units)) (Glorot and Bengio, 2010, as in Keras), and biases of 0."""
    parameters: Parameters = []
    for (kind, number), width in zip(plan.layers, plan.widths(), strict=True):
        if kind == "dense":
            shape = width, int(number)
            limit = np.sqrt(6 / sum(shape))
            parameters += [random.uniform(-limit, limit, shape).astype(np.float32), np.zeros(shape[1], np.float32)]
    return parameters


def train(
    plan: Plan,
    start: Sequence[Parameters],
    fitted: Sequence[Rows],
    validating: Sequence[Rows],
    draws: Sequence[np.random.Generator],
) -> tuple[list[Floats], dict[str, NDArray[np.float64]]]:
    """Final parameters of all nets, each with nets as its first axis, and their losses (nets, epochs).

    Parameters
    ----------
    start
        Initial parameters of each net.
    validating
        Validation rows of each net, or nothing.
    draws
        Random numbers of each net for the orders of its rows and its dropout.
    """
    program = _program(plan.layers)
    parameters = [_padded(np.stack(values)) for values in zip(*start, strict=True)]
    zeros = [np.zeros_like(values) for values in parameters]
    state: Values = (parameters, zeros, zeros, np.zeros(NETS, np.float32))
    nets, counts = len(start), np.array([len(rows.target) for rows in fitted])
    steps = -(-counts // plan.batch)
    validation = _validation(validating) if validating else None
    losses, validation_losses = [], []
    for _ in range(plan.epochs):
        epoch = _Epoch.allocate(plan, int(steps.max()))
        for net, rows in enumerate(fitted):
            epoch.fill(net, rows, plan, draws[net])
        state, total, validation_total = program(
            state, np.int32(steps.max()), np.float32(plan.rate),
            (epoch.inputs, epoch.target, epoch.weight, epoch.bits), validation,
        )  # fmt: skip
        losses.append(np.asarray(total, np.float64)[:nets] / counts)
        validation_losses.append(np.asarray(validation_total, np.float64)[:nets])
    columns = {"loss": np.stack(losses, axis=1)}
    if validating:
        numbers = np.array([len(rows.target) for rows in validating])
        columns["val_loss"] = np.stack(validation_losses, axis=1) / numbers[:, None]
    return [np.asarray(values)[:nets] for values in state[0]], columns


def _padded(values: Floats) -> Floats:
    """`values` with empty nets at the end: `NETS` in all."""
    return np.concatenate([values, np.zeros((NETS - len(values), *values.shape[1:]), np.float32)])


@dataclass(frozen=True)
class _Epoch:
    """Rows of all nets in the order of one epoch, by step: (nets, steps, batch, …). A padding row has weight 0."""

    inputs: Floats
    target: Floats
    weight: Floats
    bits: NDArray[np.uint16]

    @classmethod
    def allocate(cls, plan: Plan, steps: int) -> _Epoch:
        """Padding only. The number of steps is the next power of 2: a few programs serve all numbers of rows."""
        shape = (NETS, 1 << (steps - 1).bit_length(), plan.batch)
        inputs, bits = np.zeros((*shape, plan.inputs), np.float32), np.zeros((*shape, plan.dropout_width()), np.uint16)
        return cls(inputs, np.zeros(shape, np.float32), np.zeros(shape, np.float32), bits)

    def fill(self, net: int, rows: Rows, plan: Plan, random: np.random.Generator) -> None:
        """Set the rows of one net; what is drawn depends on its own rows only."""
        count = len(rows.target)
        order = random.permutation(count) if plan.reshuffle else np.arange(count)
        self.inputs[net].reshape(-1, plan.inputs)[:count] = rows.inputs[order]
        self.target[net].reshape(-1)[:count] = rows.target[order]
        self.weight[net].reshape(-1)[:count] = 1.0
        width = plan.dropout_width()
        if width:
            self.bits[net].reshape(-1, width)[:count] = random.integers(0, _DRAWS, (count, width), np.uint16)


def _validation(validating: Sequence[Rows]) -> tuple[Floats, Floats, Floats]:
    """Inputs (nets, n, k), target and weight (nets, n) of the validation rows."""
    most = max(len(rows.target) for rows in validating)
    shape = (NETS, -(-most // _VALIDATION_ROWS) * _VALIDATION_ROWS)
    inputs = np.zeros((*shape, validating[0].inputs.shape[1]), np.float32)
    target, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for net, rows in enumerate(validating):
        count = len(rows.target)
        inputs[net, :count], target[net, :count], weight[net, :count] = rows.inputs, rows.target, 1.0
    return inputs, target, weight


@lru_cache(maxsize=16)
def _program(layers: Layers) -> Callable[..., Any]:
    """One epoch of every net of a group, compiled once per shape of its arrays."""
    import jax

    return jax.jit(jax.vmap(partial(_epoch, layers), in_axes=(0, None, None, 0, 0)), donate_argnums=0)


def _epoch(layers: Layers, state: Values, steps: Values, rate: Values, rows: Values, validation: Values) -> Values:
    """State of one net after an epoch, and the sums of its absolute errors: training rows, validation rows.

    Parameters
    ----------
    state
        Parameters, Adam's two means of the slopes, and the number of steps.
    rows
        Inputs (steps, batch, k), target and weight (steps, batch), and random bits (steps, batch, dropout width).
    validation
        Inputs (n, k), target and weight (n,), or None.
    """
    import jax
    import jax.numpy as jnp

    inputs, target, weight, bits = rows

    def step(k: Values, carry: Values) -> Values:
        (parameters, first, second, count), total = carry
        count_of_rows = jnp.sum(weight[k])
        loss = jax.value_and_grad(partial(_step_loss, layers))
        error, slopes = loss(parameters, inputs[k], target[k], weight[k], bits[k])
        is_active = count_of_rows > 0  # another net of the group may have more steps
        updated = _adam(parameters, slopes, first, second, count + 1, rate)
        state = jax.tree.map(
            lambda new, old: jnp.where(is_active, new, old), updated, (parameters, first, second, count)
        )
        return state, total + error * count_of_rows

    state, total = jax.lax.fori_loop(0, steps, step, (state, jnp.float32(0)))
    if validation is None:
        return state, total, jnp.float32(0)
    inputs, target, weight = validation
    return state, total, jnp.sum(jnp.abs(_forward(layers, state[0], inputs, None) - target) * weight)


def _step_loss(
    layers: Layers, parameters: Values, inputs: Values, target: Values, weight: Values, bits: Values
) -> Values:
    """Mean absolute error of the rows of a step, without padding."""
    import jax.numpy as jnp

    errors = jnp.abs(_forward(layers, parameters, inputs, bits) - target) * weight
    return jnp.sum(errors) / jnp.maximum(jnp.sum(weight), 1.0)


def _forward(layers: Layers, parameters: Values, values: Values, bits: Values | None) -> Values:
    """Prediction for each row of `values` (n, k), shape (n,); without dropout if there are no `bits`."""
    import jax
    import jax.numpy as jnp

    dense, offset = 0, 0
    for kind, number in layers:
        if kind == "dense":
            values = values @ parameters[dense] + parameters[dense + 1]
            dense += 2
        elif kind == "relu":
            values = jax.nn.relu(values)
        elif bits is not None:  # dropout: a share `number` becomes 0, and the rest grows to keep the mean
            width = values.shape[-1]
            mask = bits[..., offset : offset + width] >= round(number * _DRAWS)
            values = jnp.where(mask, values / (1 - number), 0.0)
            offset += width
    return values[..., 0]


def _adam(parameters: Values, slopes: Values, first: Values, second: Values, count: Values, rate: Values) -> Values:
    """Parameters, means and count after a step of Adam (Kingma and Ba, 2015).

    The bias correction is in the rate, as in Keras.
    """
    import jax
    import jax.numpy as jnp

    first = jax.tree.map(lambda mean, slope: mean + (slope - mean) * (1 - BETA_1), first, slopes)
    second = jax.tree.map(lambda mean, slope: mean + (slope * slope - mean) * (1 - BETA_2), second, slopes)
    corrected = rate * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    parameters = jax.tree.map(
        lambda values, mean, square: values - corrected * mean / (jnp.sqrt(square) + EPSILON),
        parameters, first, second,
    )  # fmt: skip
    return parameters, first, second, count
