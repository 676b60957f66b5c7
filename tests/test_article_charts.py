"""The article's charts, their tables, and the costs of faults with their intervals, on invented results."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from forebay.article import run as article
from forebay.article.charts import loss_chart, loss_table, prediction_chart, prediction_table, share_names
from forebay.article.page import render_article, result_figures, start_pictures, write_page
from forebay.article.results import BASELINES, ArticlePage, Fault, RecipeResult, SameDayScores
from tests.report_examples import needs_chromium, open_in_browser, visible_text

DAYS = [date(2019, 12, 1) + timedelta(days=k) for k in range(405) if not 100 <= k < 105]
"""400 days with a gap of five."""


def predictions() -> pl.DataFrame:
    """A test day after every three training days and one validation day."""
    wave = np.sin(np.arange(400) / 9)
    return pl.DataFrame({
        "date": DAYS,
        "part": ["train", "train", "train", "validation", "test"] * 80,
        "actual": 0.1 * wave,
        "prediction": 0.05 * wave,
    })  # fmt: skip


def result(**changes: object) -> RecipeResult:
    """A recipe's result of two seeds whose tests differ."""
    epochs = list(range(1, 31))
    seeds = [pl.DataFrame({"seed": s, "epoch": epochs, "loss": [1 / (e + s) for e in epochs]}) for s in (0, 1)]
    values = {
        "recipe": "elixir", "variant": "published", "backend": "jax", "epochs": 30, "rows": 400, "train": 240,
        "validation": 80, "test": 80, "mae": (0.02, 0.03), "spread": (0.001, 0.001),
        "seed_baselines": (dict.fromkeys(BASELINES, 0.01), dict.fromkeys(BASELINES, 0.02)),
        "all_row_baselines": dict.fromkeys(BASELINES, 0.0338),
        "history": pl.concat(seeds).with_columns(val_loss=pl.col("loss") / 2), "predictions": predictions(),
    }  # fmt: skip
    return RecipeResult(**(values | changes))  # type: ignore[arg-type]  # fields by name


def page(*results: RecipeResult) -> ArticlePage:
    """A page with one fault, and without scores on the same days."""
    scores = dict.fromkeys(("net", "default", "no_change", "last_change", "damped_change"), 0.02)
    same_days = SameDayScores("elixir", 80, "2021-01-01", "2021-03-21", scores, scores, scores)
    hindcast = pl.DataFrame(
        {"lead_time": [1], "n": [80], "mae": [0.01], "no_change": [0.03], "last_change": [0.02], "coverage_90": [0.9]}
    )
    leads = hindcast.to_dicts()
    fault = Fault(7, "baseline", (0.02, 0.03), (0.022, 0.027), {"recipe": "elixir", "test": 80, "leads": leads})
    return ArticlePage(results, {"elixir": 0.0245}, (fault,), (same_days,), hindcast, "all", "CC BY 4.0")


def test_terminal_page_and_json_show_the_baselines_of_the_test_rows() -> None:
    content = page(result())
    (row,) = article.text_rows(content)
    assert row["last_change"] == "0.0150"  # the mean over the tests of the seeds, not 0.0338 of all rows
    (entry,) = article.json_rows(content.results)
    assert entry["baselines"] == dict.fromkeys(BASELINES, 0.015)
    assert entry["baselines_on"] == "test rows of each seed, mean over the seeds"
    assert entry["baselines_all"] == dict.fromkeys(BASELINES, 0.0338)
    text = visible_text(render_article(content))
    assert "The last change: 0.0150 m." in text
    assert result(all_row_baselines=None).baselines_on == "test rows"


def test_the_error_of_the_nets_has_its_deviation_and_the_article_its_number() -> None:
    content = page(result(), result(variant="corrected"))
    deviation = np.std([0.02, 0.03], ddof=1)
    assert result().deviation() == pytest.approx(deviation)
    assert f"0.0250 ± {deviation:.4f} m" in visible_text(render_article(content))
    assert [(row["article"], row["net"]) for row in article.text_rows(content)] == [
        ("0.0245", f"0.0250 ± {deviation:.4f}"),
        (None, f"0.0250 ± {deviation:.4f}"),
    ]


@pytest.mark.parametrize(
    ("last_change", "words"),
    [
        (0.0111, "“Last change” is better than the net of Elixir. A forecast needs"),
        (0.0177, "Each corrected net is better than “last change”."),
    ],
    ids=["worse", "better"],
)
def test_the_page_compares_the_models_on_the_same_days(last_change: float, words: str) -> None:
    names = ("net", "default", "last_change", "damped_change", "no_change")
    mae = dict(zip(names, (0.0150, 0.0110, last_change, 0.0130, 0.0140), strict=True))
    bias = dict(zip(names, (-0.0021, 0.0022, 0.0023, 0.0024, 0.0025), strict=True))
    top5 = dict(zip(names, (0.0310, 0.0320, 0.0330, 0.0340, 0.0350), strict=True))
    scores = SameDayScores("elixir", 80, "2021-01-01", "2021-03-21", mae, bias, top5)
    text = html.unescape(visible_text(render_article(replace(page(result()), same_days=(scores,)))))
    for title, values in (
        ("MAE", f"0.0150 0.0110 {last_change:.4f} 0.0130 0.0140"),
        ("bias", "−0.0021 +0.0022 +0.0023 +0.0024 +0.0025"),
        ("MAE, 5% largest rises", "0.0310 0.0320 0.0330 0.0340 0.0350"),
    ):
        assert f"Elixir: {title} 80 {values}" in text
    assert "Days corrected net forebay last change damped change no change" in text
    assert words in text
    assert "the mean error of the corrected net is −0.0021 m, that of the project's forecast +0.0022 m" in text
    assert "error of the corrected net is 0.0310 m, that of the project's forecast 0.0320 m" in text
    assert "Observed inside the 90% interval 1 d 80 0.0100 0.0300 0.0200 90%" in text


def test_the_interval_of_a_fault_is_that_of_the_paired_t_test() -> None:
    random = np.random.default_rng(3)
    published = random.normal(0.02, 0.002, 5)
    corrected = published + random.normal(0.001, 0.0005, 5)
    fault = Fault(1, "known_label", tuple(published), tuple(corrected))
    interval = stats.ttest_rel(corrected, published).confidence_interval(0.95)
    assert fault.half_width is not None
    assert (fault.cost - fault.half_width, fault.cost + fault.half_width) == pytest.approx(tuple(interval))


@pytest.mark.parametrize(
    ("corrected", "verdict"),
    [
        ((0.022, 0.023, 0.024), "higher"),
        ((0.018, 0.017, 0.016), "lower"),
        ((0.022, 0.018, 0.021), "undecided"),
        ((0.022,), "one seed"),
    ],
)
def test_a_fault_whose_interval_contains_0_is_undecided(corrected: tuple[float, ...], verdict: str) -> None:
    assert Fault(1, "known_label", (0.02,) * len(corrected), corrected).verdict == verdict


def test_the_page_prints_the_interval_and_the_word_undecided() -> None:
    text = visible_text(render_article(page(result())))
    assert "0.0250 0.0245 −0.0005 ± 0.0318 undecided" in text
    assert "Difference: −0.0005 ± 0.0318 m, undecided." in text
    assert "the mean over 2 seeds ± the half width of its 95% interval" in text
    one = replace(page(result()), faults=(replace(page().faults[0], published=(0.02,), corrected=(0.022,)),))
    assert "unknown (one seed)" in visible_text(render_article(one))


def test_every_chart_has_its_own_label_and_a_table(tmp_path: Path) -> None:
    text = render_article(page(result(), result(recipe="python", all_row_baselines=None)))
    labels = re.findall(r'<div class="chart"[^>]*aria-label="([^"]+)"', text)
    assert len(set(labels)) == len(labels) == 4
    after = text.split('<div class="chart"')[1:]
    assert all("<table>" in part for part in after)
    write_page(page(result()), tmp_path, start_pictures(page(result())))
    for name in ("prediction", "history"):
        assert "<table>" in (tmp_path / f"elixir-published-{name}.html").read_text("utf-8")


def test_the_tables_beside_the_charts_have_the_numbers_of_the_charts() -> None:
    rows = prediction_table(result())
    assert [(row["part"], row["days"]) for row in rows] == [("train", 240), ("validation", 80), ("test", 80)]
    test = predictions().filter(pl.col("part") == "test")
    assert rows[2]["mae"] == pytest.approx(float((test["actual"] - test["prediction"]).abs().mean()))  # type: ignore[arg-type]
    assert rows[2]["largest_prediction"] == pytest.approx(test["prediction"].max())
    assert [row[0] for row in loss_table(result())] == [1, 2, 5, 10, 20, 30]
    assert loss_table(result())[0] == pytest.approx((1, 0.75, 0.375))


def test_the_largest_rise_is_the_observed_one_and_the_bias_is_forecast_minus_observed() -> None:
    rows = pl.DataFrame({
        "date": DAYS[:3], "part": ["test"] * 3, "actual": [0.1, 0.9, 0.2], "prediction": [0.7, 0.3, 0.4],
    })  # fmt: skip
    (row,) = prediction_table(result(predictions=rows))
    assert (row["largest_day"], row["largest_actual"], row["largest_prediction"]) == (DAYS[1], 0.9, 0.3)
    assert row["bias"] == pytest.approx(0.2 / 3)


def test_the_lines_of_the_losses_have_their_names() -> None:
    spec = loss_chart(result()).to_dict()
    (rows,) = spec["datasets"].values()
    first = {row["series"]: row["mae"] for row in rows if (row["seed"], row["epoch"]) == (0, 1)}
    assert first == {"loss (under dropout)": 1.0, "validation loss": 0.5}


def test_the_choice_of_days_names_their_numbers() -> None:
    assert share_names(predictions()) == ["first 300 rows, as in the article", "all 400 days", "the 80 test days"]
    assert share_names(predictions().head(120))[0] == "first 120 rows, as in the article"


def test_the_chart_begins_with_the_first_rows() -> None:
    names = share_names(predictions())
    (choice,) = [p for p in prediction_chart(predictions(), "Elixir").to_dict()["params"] if p["name"] == "days"]
    assert choice["value"] == names[0] and choice["bind"]["options"] == names


def test_the_charts_are_valid_vega_lite() -> None:
    prediction_chart(predictions(), "Elixir").to_dict(validate=True)
    loss_chart(result()).to_dict(validate=True)
    (figure,) = (f for f in result_figures(result()).values() if f.name == "elixir-published-prediction")
    assert "timeFormat(datum.value, '%Y')" in json.dumps(figure.file_spec())  # each tick shows its year


SCRIPT = """
addEventListener("load", () => setTimeout(async () => {
  const pause = () => new Promise((done) => setTimeout(done, 1500));
  const place = document.querySelector(".chart");
  const count = (kind) => place.querySelectorAll(kind).length;
  const shapes = () => ({points: count(".mark-symbol path"), lines: count(".mark-line path")});
  const wheel = (keys) => {
    const box = place.querySelector("svg").getBoundingClientRect();
    const at = {clientX: box.left + box.width / 2, clientY: box.top + box.height / 2};
    const event = new WheelEvent("wheel", {deltaY: 100, bubbles: true, cancelable: true, ...at, ...keys});
    document.elementFromPoint(at.clientX, at.clientY).dispatchEvent(event);
    return event.defaultPrevented;
  };
  const report = {first: shapes(), years: place.textContent.includes("2020")};
  report.wheel = wheel({});
  const radios = document.querySelectorAll(".choice input[type=radio]");
  report.radios = radios.length;
  for (const [name, number] of [["all", 1], ["test", 2]]) {
    radios[number].click();
    await pause();
    report[name] = shapes();
  }
  report.zoom = wheel({ctrlKey: true});
  document.body.dataset.report = JSON.stringify(report);
}, 3000));
"""


@needs_chromium
def test_in_a_browser_the_chart_offers_all_days_breaks_lines_and_lets_the_wheel_scroll(tmp_path: Path) -> None:
    write_page(page(result()), tmp_path, start_pictures(page(result())))
    path = tmp_path / "elixir-published-prediction.html"
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    text = path.read_bytes().decode().replace("script-src ", f"script-src 'sha256-{digest}' ", 1)  # stays strict
    before, body_end, after = text.rpartition("</body>")
    path.write_bytes(f"{before}<script>{SCRIPT}</script>{body_end}{after}".encode())
    dom, log, requests = open_in_browser(path, tmp_path)
    assert ("CONSOLE" not in log, requests) == (True, []), log
    (text,) = re.findall(r'data-report="([^"]+)"', dom)
    report = json.loads(text.replace("&quot;", '"'))
    # Two series; one gap, so two lines each; a test day has no neighbour, so each of the 80 is a line of its own.
    assert report["first"] == {"points": 600, "lines": 4}
    assert report["all"] == {"points": 800, "lines": 4}
    assert report["test"] == {"points": 160, "lines": 160}
    assert (report["radios"], report["years"]) == (3, True)
    assert (report["wheel"], report["zoom"]) == (False, True)  # the wheel alone belongs to the page
