"""Checks of LightGBM's text of trees: LightGBM itself ends the process, or never ends, on a text that is damaged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from forebay.errors import ModelError

END = "end of trees\n"
_FIXED = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "label_index": "0"}
_HEAD = (*_FIXED, "max_feature_idx", "objective", "feature_names", "feature_infos", "tree_sizes")
_INTEGER, _NUMBER = re.compile(r"-?\d{1,9}"), re.compile(r"-?\d+(\.\d+)?(e[+-]?\d{1,3})?")
_THRESHOLD = re.compile(rf"{_NUMBER.pattern}|-?inf")  # infinite: missing values on one side, all others on the other
_OF_NODES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_OF_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_INTERNAL = ("internal_value", "internal_weight", "internal_count")
_TREE = ("num_leaves", "num_cat", *_OF_NODES, *_OF_LEAVES, *_INTERNAL, "is_linear", "shrinkage")
_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count")
_DECISIONS = range(0, 12, 2)
"""Numeric splits, by what happens to a missing value; odd ones are splits by category."""


def bare_trees(text: str) -> str:
    """LightGBM's text without what follows its trees: importances and parameters, which no forecast needs."""
    return text[: text.index(END) + len(END)]


def check_trees(text: str, names: Sequence[str]) -> None:
    """Raise `ModelError` unless `text` is that of `bare_trees` of numeric splits on the inputs `names`.

    Every node has a later node or a leaf on each side and one node above it, so that a forecast ends.
    """
    head, *trees = re.split(r"^(?=Tree=)", text.removesuffix(f"\n\n{END}") + "\n\n", flags=re.MULTILINE)
    fields = _fields(head.removeprefix("tree\n"), _HEAD)
    if any(fields[name] != value for name, value in _FIXED.items()) or not head.startswith("tree\n"):
        raise _damaged("the head")
    if fields["feature_names"].split(" ") != list(names) or fields["max_feature_idx"] != str(len(names) - 1):
        raise _damaged("the names of the inputs")
    if len(fields["feature_infos"].split(" ")) != len(names) or not re.fullmatch(r"[a-z_0-9]+", fields["objective"]):
        raise _damaged("the head")
    sizes = [str(len(tree)) for tree in trees]
    if not trees or fields["tree_sizes"].split(" ") != sizes or not text.endswith(f"\n\n{END}"):
        raise _damaged("the number of trees or their length")
    for number, tree in enumerate(trees):
        title, _, rest = tree.partition("\n")
        if title != f"Tree={number}":
            raise _damaged(f"tree {number}")
        _check_tree(_fields(rest, _TREE), number, len(names))


def _check_tree(fields: dict[str, str], number: int, inputs: int) -> None:
    damaged = _damaged(f"tree {number}")
    leaves = int(fields["num_leaves"]) if _INTEGER.fullmatch(fields["num_leaves"]) else 0
    if leaves < 2 or not _NUMBER.fullmatch(fields["shrinkage"]):
        raise damaged
    if fields["num_cat"] != "0" or fields["is_linear"] != "0":
        raise damaged
    values = dict[str, list[str]]()
    for names, count in ((_OF_NODES + _INTERNAL, leaves - 1), (_OF_LEAVES, leaves)):
        for name in names:
            values[name] = fields[name].split(" ")
            form = _INTEGER if name in _INTEGERS else _THRESHOLD if name == "threshold" else _NUMBER
            if len(values[name]) != count or not all(form.fullmatch(value) for value in values[name]):
                raise damaged
    if not all(int(value) in range(inputs) for value in values["split_feature"]):
        raise damaged
    if not all(int(value) in _DECISIONS for value in values["decision_type"]):
        raise damaged
    children = [(node, int(child)) for side in ("left_child", "right_child") for node, child in enumerate(values[side])]
    if sorted(child for _, child in children) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise damaged
    if any(0 <= child <= node for node, child in children):
        raise damaged


def _fields(text: str, names: Sequence[str]) -> dict[str, str]:
    """Name → value of lines `name=value`, which must have these names in this order."""
    pairs = [line.partition("=") for line in text.rstrip("\n").split("\n")]
    if [name for name, _, _ in pairs] != list(names):
        raise _damaged("the order of the lines")
    return {name: value for name, _, value in pairs}


def _damaged(part: str) -> ModelError:
    return ModelError(f"the text of the trees is damaged in {part}")
