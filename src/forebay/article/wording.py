"""Wording of the article's page: names of the models, the article's complaints with their answers, and a glossary."""

from __future__ import annotations

NAMES = {
    "no_change": "no change",
    "train_median": "median",
    "last_change": "last change",
    "damped_change": "damped change",
    "huber": "Huber",
    "lightgbm": "LightGBM",
    "net": "corrected net",
    "default": "forebay",
}

COMPLAINTS = (
    (
        "There is no step from a data frame to tensors.",
        "networks.arrays(table, inputs=…, target=…); it names the column that has a missing value.",
    ),
    (
        "There is no helper to split into train, validation and test.",
        "article_recipes.split_rows and networks.split_validation; networks.shuffle and networks.batches keep inputs "
        "and "
        "labels together.",
    ),
    (
        "There is no normalising layer.",
        "networks.normalisation(rows), fitted on training rows; it is the net's first layer and stands in its file.",
    ),
    (
        "The loss history cannot be got out.",
        "net.history is a frame: epoch, loss, val_loss; written as CSV and Parquet.",
    ),
    ("Frames are changed behind one's back.", "Polars frames are not changed: each step gives a new table."),
    (
        "Filters are hard to read.",
        "A recipe is a list of named choices (article_recipes.Recipe); a quality code is decided in one place.",
    ),
    (
        "There is no outflow data.",
        "A dam file may name gauges of inflow and release, and the models then use them. None is published for this "
        "dam, "
        "so here the complaint stands.",
    ),
    (
        "Only one day of input is used.",
        "The recipe multi-day takes three; the project's own forecast takes lags, sums over days and an antecedent "
        "precipitation index.",
    ),
    (
        "Spikes are seen but predicted too small.",
        "On the 5% largest rises the corrected net misses by {net_top5} m on average, the project's own forecast by "
        "{own_top5} m; its intervals say how far a rise may go.",
    ),
    (
        "Predictions lean to low values.",
        "On the same days the corrected net's mean error is {net_bias} m, that of the project's own forecast "
        "{own_bias} m.",
    ),
)

WORDS = (
    ("MAE", "mean absolute error: how far predictions are off on average, in metres of water level"),
    ("L(d)", "the mean level of day d, in metres relative to full supply"),
    ("nowcast", "a statement about a day that is over, from that day's readings; a forecast is about a day to come"),
    ("epoch", "one pass over all training rows"),
    ("dropout", "while a net learns, half of its numbers are set to 0 at random: its training loss looks high"),
    ("validation", "rows on which the loss is watched while a net learns, without learning from them"),
    ("bias", "mean of forecast minus observed: below 0 the forecasts are too low"),
    ("90% interval", "the range that 90 of 100 outcomes should fall into"),
)
