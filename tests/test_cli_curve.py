"""`forebay curve`: curves of the dam file, pairs, fit, conversion, refusals; the lake is simulated."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from tests import synthetic
from tests.command_line import forebay
from tests.synthetic import daily_frame, small_dam

GAUGE = {"role": "storage", "source": "simulated", "station": "s", "variable": "storage", "unit": "ML"}
CURVE = """
[[storage_curves]]
level_unit = "m"
storage_unit = "ML"
survey_date = 2011-06-30
source = "survey of the simulation"
points = [[95.0, 500.0], [100.0, 2000.0], [105.0, 4500.0]]
"""


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")


def write_lake(curve: str = "", *, factor: float = 1.0, dam: Dam | None = None) -> str:
    """Path of the dam file of a simulated lake with 20 (level − 90)² ML, `factor` times that from day 400 on."""
    dam = small_dam(GAUGE) if dam is None else dam
    days = 800
    level = np.round(100 + 3 * np.sin(np.arange(days) / 40) + synthetic.ar1_series(days, sd=0.05), 2)
    storage = 20 * (level - 90) ** 2 * np.where(np.arange(days) < 400, 1.0, factor)
    values = {"reservoir_level": level.tolist()}
    values |= {gauge.column: storage.tolist() for gauge in dam.gauges if gauge.role == "storage"}
    path = synthetic.write_dam(dam, daily_frame(dam, values), Path())
    text = path.read_text()
    path.write_text(text.replace("[target]", f"{curve}[target]"))
    assert forebay("fetch", path).code == 0
    return str(path)


def test_the_curve_of_the_dam_file_with_survey_range_units_source_and_errors(tmp_path: Path) -> None:
    path = write_lake(CURVE)
    result = forebay("curve", path)
    assert (result.code, result.err) == (0, "")
    for text in ("survey 2011-06-30", "95 to 105 m", "500 to 4,500 ML", "survey of the simulation"):
        assert text in result.out
    assert re.search(r"2018-01-01 to 2020-03-10: \d{3} pairs differ from the storage curve: median", result.out)
    folder = tmp_path / "runs/small"
    names = {"storage_curve.csv", "storage_curve_pairs.csv", "storage_curve.png", "storage_curve.svg"}
    assert {file.name for file in folder.iterdir()} == names
    table = pl.read_csv(folder / "storage_curve.csv")
    assert table.rows() == [(95.0, 500.0), (100.0, 2000.0), (105.0, 4500.0)]
    assert table.columns == ["level_m", "storage_ML"]
    pairs = pl.read_csv(folder / "storage_curve_pairs.csv")
    expected = pairs["storage"] - pl.Series(np.interp(pairs["level"], [95, 100, 105], [500, 2000, 4500]))
    assert pairs["residual"].to_list() == pytest.approx(expected.to_list(), abs=1e-6)
    for error, percent in re.findall(r"95% error ([\d,.]+) ML \(([\d.]+)% of the largest storage\)", result.out):
        share = 100 * float(error.replace(",", "")) / float(pairs["storage"].max())  # type: ignore[arg-type]  # a number
        assert float(percent) == pytest.approx(share, abs=0.02)
    assert result.out.count("% of the largest storage") == 1


def test_a_dam_without_curve_gets_a_fit_whose_lines_can_be_pasted() -> None:
    path = write_lake()
    content = forebay("curve", path, "-o", "out/lake.csv", "--json").json
    fit = content["fit"]
    assert len(fit["points"]) <= 60
    assert fit["unseen"]["error_95"] < 0.005 * 3380
    Path(path).write_text(Path(path).read_text().replace("[target]", f"{fit['toml']}\n[target]"))
    (curve,) = load_dam(path).storage_curves
    assert curve.points == tuple(map(tuple, fit["points"]))
    assert curve.source.startswith("fitted by forebay to ")
    assert "no survey" in curve.source
    assert curve.survey_date is None
    again = forebay("curve", path, "--json").json
    assert again["fit"] is None
    assert [row["differs"] for row in again["segments"]] == [False]


def test_contradictory_pairs_are_refused_and_each_survey_can_be_fitted() -> None:
    path = write_lake(factor=0.95)
    result = forebay("curve", path)
    assert (result.code, result.out) == (1, "")
    assert re.fullmatch(
        r"forebay: the pairs contradict each other: on 2019-02-05 the storage at level .* m changes from .* "
        r"ML \(-5\.\d%\); fit each survey by itself with --since and --until\n",
        result.err,
    )
    before = forebay("curve", path, "--until", "2019-02-04", "--json").json["fit"]
    after = forebay("curve", path, "--since", "2019-02-05", "--json").json["fit"]
    at_100 = [np.interp(100.0, *zip(*fit["points"], strict=True)) for fit in (before, after)]
    assert at_100 == pytest.approx([2000.0, 1900.0], rel=0.005)
    assert "valid_from = 2019-02-05" in after["toml"]
    assert "valid_from" not in before["toml"]


def test_a_new_survey_shows_as_a_break_against_the_curve() -> None:
    exact = "\n".join(f"[{x / 10}, {20 * (x / 10 - 90) ** 2:.4f}]," for x in range(950, 1051))
    curve = CURVE[: CURVE.index("points")] + f"points = [{exact}]\n"
    content = forebay("curve", write_lake(curve, factor=0.95), "--json").json
    assert [change["day"] for change in content["breaks"]] == ["2019-02-05"]
    assert [row["differs"] for row in content["segments"]] == [False, True]
    assert content["fit"] is None


def test_a_level_and_a_storage_are_converted_or_refused_beyond_the_curve() -> None:
    path = write_lake(CURVE)
    conversions = forebay("curve", path, "--level", "97.5", "--storage", "2000", "--json").json["conversions"]
    assert "By the newest curve: level 97.5 m, storage 1,250 ML\n" in forebay("curve", path, "--level", "97.5").out
    assert "By the fitted curve: level 97.5 m, " in forebay("curve", path, "--level", "97.5", "--fit").out
    assert conversions == [{"level": 97.5, "storage": 1250.0}, {"level": 100.0, "storage": 2000.0}]
    result = forebay("curve", path, "--level", "105.1")
    assert result.code == 1
    assert result.err == (
        "forebay: level 105.1 m is beyond the storage curve (survey 2011-06-30), which has levels from 95 to 105 m; "
        "give one of these, or a curve with a wider range\n"
    )


def test_pairs_beyond_the_curve_are_counted_and_not_compared(tmp_path: Path) -> None:
    narrow = CURVE.replace("[95.0, 500.0], [100.0, 2000.0], [105.0, 4500.0]", "[98.0, 1280.0], [100.0, 2000.0]")
    content = forebay("curve", write_lake(narrow), "--json").json
    pairs = pl.read_csv(tmp_path / "runs/small/storage_curve_pairs.csv")
    beyond = len(pairs.filter(~pl.col("level").is_between(98, 100)))
    assert 0 < beyond < content["pairs"] == len(pairs)
    assert f"{beyond} pairs are beyond the curve and not compared." in content["sentences"]
    assert content["segments"][0]["n"] == len(pairs) - beyond


def test_the_newest_curve_converts() -> None:
    newer = CURVE.replace("2011", "2019").replace("500.0", "400.0").replace("points", "valid_from = 2018-06-01\npoints")
    older = CURVE.replace("points", "valid_from = 2017-01-01\npoints")
    for curves in (older + newer, newer + older):
        content = forebay("curve", write_lake(curves), "--level", "95", "--json").json
        assert content["conversions"] == [{"level": 95.0, "storage": 400.0}]


def test_the_lines_for_the_dam_file_have_the_path_from_its_folder(tmp_path: Path) -> None:
    path = Path(write_lake())
    folder = tmp_path / "dams"
    folder.mkdir()
    text = path.read_text().replace('"small.csv"', f'"{tmp_path / "small.csv"}"')
    (folder / "lake.toml").write_text(text)
    assert forebay("fetch", folder / "lake.toml").code == 0
    toml = forebay("curve", folder / "lake.toml", "-o", "out/lake.csv", "--json").json["fit"]["toml"]
    assert 'path = "../out/lake.csv"' in toml


def test_a_dam_without_storage_gauge_shows_its_curve_and_cannot_be_fitted() -> None:
    path = write_lake(CURVE, dam=small_dam())
    content = forebay("curve", path, "--json").json
    assert content["sentences"] == [
        "There are no pairs to compare: the dam file has no gauges of both level and storage."
    ]
    assert content["curves"][0]["survey"] == "survey 2011-06-30"
    result = forebay("curve", path, "--fit")
    assert result.code == 1
    assert "has no gauge of storage to pair with its level; add one" in result.err


def test_without_an_archive_the_curve_is_shown_and_the_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lake(CURVE)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///none.db")
    result = forebay("curve", path)
    assert result.code == 0
    assert "There are no pairs to compare: " in result.out
    assert forebay("curve", path, "--fit").code == 2
    assert not Path("none.db").exists()


def test_a_storage_as_target_without_a_level_has_no_pairs() -> None:
    dam = small_dam()
    gauges = tuple(gauge.model_copy(update={"variable": "storage", "unit": "ML"}) for gauge in dam.gauges)
    target = dam.target.model_copy(update={"variable": "storage", "unit": "ML"})
    path = synthetic.write_dam(dam.model_copy(update={"target": target, "gauges": gauges}),
                               pl.DataFrame({"date": ["2020-01-01"], "storage": [1.0]}), Path())  # fmt: skip
    result = forebay("curve", path)
    assert result.code == 1
    assert 'add one with role "level", variable "reservoir_level", or give a storage curve' in result.err


def test_only_csv_is_written() -> None:
    result = forebay("curve", write_lake(CURVE), "-o", "curve.png")
    assert result.code == 2
    assert result.err == "forebay: curve.png: suffix '.png' is unknown; allowed is .csv\n"


def test_a_storage_as_target_pairs_with_the_level_beside_it(tmp_path: Path) -> None:
    """The draft gives the level a role; the curve is that of the same file with the level as target."""
    days = 500
    level = np.round(100 + 3 * np.sin(np.arange(days) / 40) + synthetic.ar1_series(days, sd=0.05), 2)
    dates = pl.date_range(pl.date(2022, 1, 1), pl.date(2022, 1, 1) + pl.duration(days=days - 1), eager=True)
    table = pl.DataFrame({"date": dates, "level_ft": level / 0.3048, "storage_ML": 20 * (level - 90) ** 2})
    table.write_csv("lake.csv")
    curves = []
    for target in ("level_ft", "storage_ML"):
        assert forebay("new", target.lower(), "--csv", "lake.csv", "--yes", "--set", f"target={target}").code == 0
        result = forebay("curve", f"{target.lower()}.toml", "--json")
        assert result.code == 0, result.err
        assert (result.json["level_unit"], result.json["storage_unit"]) == ("ft", "ML")
        curves.append(result.json["fit"]["points"])
    assert load_dam("storage_ml.toml").columns("level") == ["reservoir_level_level_ft"]
    assert np.array(curves[1]) == pytest.approx(np.array(curves[0]), rel=1e-6)
    assert np.interp(100 / 0.3048, *np.array(curves[1]).T) == pytest.approx(2000, rel=1e-3)
