"""`forebay article`: the recipes, the page and the output of the command, on the article's files."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.archive.store import open_archive
from forebay.article import run as article
from forebay.article.gauges import read_record
from forebay.article.results import BASELINES
from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError, SourceError
from forebay.nets import networks
from forebay.settings import load_settings
from forebay.verify.hindcast import Execution
from tests.article_rows import FOLDER, NOW, record
from tests.hydstra_server import hydstra_server
from tests.report_examples import check_in_browser, needs_chromium
from tests.shared import needs_shared
from tests.test_weights import elixir_predictions, javascript_predictions

if find_spec("onnx") is None and os.environ.get("CI") != "true":
    pytest.skip("the extras nets and export are not installed", allow_module_level=True)

KEYS = ["recipe", "variant", "backend", "epochs", "rows", "train", "validation", "test", "seeds", "mae_mean", "mae_sd"]


@pytest.fixture(scope="module")
def result(execution: Execution) -> article.ArticleRun:
    return article.run(record(), article.Choice("all", "jax", 1), now=NOW, execution=execution)


@pytest.fixture(scope="module")
def folder(result: article.ArticleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("article")
    article.write(result, folder)
    return folder


def forebay(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("forebay")
    return subprocess.run(
        [program, "article", *words], cwd=cwd, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.slow
@needs_shared
def test_the_results_equal_the_article(result: article.ArticleRun) -> None:
    results = {(r["recipe"], r["variant"]): r for r in json.loads(json.dumps(article.json_rows(result.page.results)))}
    sizes = {k: tuple(r[n] for n in ("rows", "train", "validation", "test", "epochs")) for k, r in results.items()}
    assert sizes["python", "published"] == (4717, 3774, 755, 943, 30)  # domain.md 1
    assert sizes["multi-day", "published"] == (4626, 3701, 741, 925, 50)
    assert sizes["elixir", "published"] == (4640, 2970, 742, 928, 30)
    assert results["python", "published"]["mae_mean"] == pytest.approx(0.0223, abs=0.0015)
    assert results["multi-day", "published"]["mae_mean"] == pytest.approx(0.0194, abs=0.002)
    for row in results.values():
        assert list(row)[: len(KEYS)] == KEYS
        assert list(row["baselines"]) == list(BASELINES)
        assert row["mae_mean"] > row["baselines"]["last_change"]
    elixir = results["elixir", "published"]
    assert elixir["baselines_all"]["last_change"] == pytest.approx(0.0338, abs=5e-5)  # domain.md 1


@pytest.mark.slow
@needs_shared
def test_the_livebooks_net_collapses_to_a_constant_near_the_median(result: article.ArticleRun) -> None:
    elixir = next(r for r in result.page.results if r.stem == "elixir-published")
    assert max(elixir.spread) <= 0.001  # domain.md 1: sd ≤ .0005; other backends may differ a little more
    assert elixir.mean() == pytest.approx(elixir.baselines["train_median"], abs=0.002)


@pytest.mark.slow
@needs_shared
def test_each_of_the_seven_faults_has_its_number(result: article.ArticleRun) -> None:
    faults = result.page.faults
    assert [fault.number for fault in faults] == [1, 2, 3, 4, 5, 6, 7]
    assert all(np.isfinite([fault.published, fault.corrected]).all() for fault in faults)
    codes, filtered, baseline = faults[2], faults[4], faults[6]
    assert (codes.values["wrong_labels"], codes.values["rows"]) == (93, 4717)  # domain.md 1, fault 3
    assert codes.values["largest"] == pytest.approx([36.51, 29.29, 5.94], abs=0.005)
    assert (faults[3].values["with_zero"], faults[3].values["rows"]) == (1272, 4717)  # domain.md 1, table
    assert filtered.cost > 0
    assert baseline.corrected == pytest.approx((0.01467,) * 20, abs=5e-6)
    assert {len(fault.costs) for fault in faults} == {20}, "for one seed per recipe too"
    for fault in faults:
        assert 0 < (fault.half_width or 0) < 0.003, fault.name


def test_the_costs_of_the_faults_have_at_least_20_seeds_where_nets_are_trained_together(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(article.backends, "check", lambda backend: None)  # torch may not be installed
    choices = [article.Choice("all", "jax", 5), article.Choice("all", "jax", 30), article.Choice("all", "torch", 5)]
    assert [choice.fault_seeds for choice in choices] == [20, 30, 5]


@pytest.mark.slow
@needs_shared
def test_all_forecasts_are_scored_on_the_same_days_and_forebay_is_the_best(result: article.ArticleRun) -> None:
    for same in result.page.same_days:
        assert same.n > 600
        assert min(same.mae, key=same.mae.__getitem__) == "default"
    assert result.page.hindcast["lead_time"].to_list() == [1, 3, 7]
    assert result.page.hindcast["n"].to_list() == [3418, 3401, 3376]  # domain.md 3, T10


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.links: list[str] = []
        self.charts = 0
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._quiet += tag in ("script", "style")
        self.charts += "data-chart" in attributes
        self.links += [str(v) for k, v in attributes.items() if k in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.text.append(data)


@pytest.mark.slow
@needs_shared
def test_the_page_has_all_results_and_loads_nothing(folder: Path) -> None:
    page = _Page()
    page.feed((folder / "article.html").read_text("utf-8"))
    text = " ".join(page.text)
    text = re.sub(r"\s+", " ", text)
    for words in (
        "0.0208", "0.0245", "4717", "3774 / 755 / 943", "no outflow data", "Seven faults", "corrected net",
        "93 of 4717 labels depend on an unavailable level", "changes are +36.51, +29.29, +5.94 m",
        "1272 of 4717 rows have at least one such zero",
    ):  # fmt: skip
        assert words in text
    assert page.charts == 12
    article_parts = [link for link in page.links if not link.startswith("#")]
    assert [link.rpartition("/")[2] for link in article_parts] == [
        f"elixir-vs-python-for-real-world-ai-ml-part-{number}" for number in (1, 2)
    ]


@pytest.mark.slow
@needs_shared
@needs_chromium
def test_in_a_browser_all_charts_draw_without_errors_or_requests(folder: Path, tmp_path: Path) -> None:
    for name, charts in (("article.html", 12), ("python-published-history.html", 1)):
        page = tmp_path / name
        page.write_bytes((folder / name).read_bytes())
        check_in_browser(page, charts=charts)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("stem", ["python-published", "elixir-published", "multi-day-corrected"])
def test_the_nets_give_the_same_in_elixir_and_javascript_on_real_rows(
    stem: str, result: article.ArticleRun, folder: Path, tmp_path: Path
) -> None:
    net = result.nets[f"{stem}-seed0"]
    numbers = np.arange(0, len(net.prediction), 40)
    for kind in ("json", "term"):
        shutil.copy(folder / f"{stem}-seed0.weights.{kind}", tmp_path / f"net.weights.{kind}")
    rows = net.trial.rows.inputs()[numbers]
    for predict in (elixir_predictions, javascript_predictions):
        assert np.abs(np.array(predict(tmp_path / "net", rows)) - net.prediction[numbers]).max() <= 1e-5


@pytest.mark.slow
@needs_shared
def test_every_result_has_its_files(folder: Path) -> None:
    kinds = ["csv", "parquet", "html", "svg", "png"]
    for recipe in ("python", "elixir", "multi-day"):
        for variant in ("published", "corrected"):
            stem = f"{recipe}-{variant}"
            expected = [f"{stem}-{table}.{kind}" for table in ("history", "prediction") for kind in kinds]
            expected += [f"{stem}-seed0.{kind}" for kind in ("keras", "json", "onnx", "weights.json", "weights.term")]
            assert all((folder / name).stat().st_size for name in expected)
    assert all((folder / name).stat().st_size for name in ("forebay_net.ex", "forebay_net.mjs"))
    history = pl.read_csv(folder / "multi-day-published-history.csv")
    assert history.columns == ["seed", "epoch", "loss", "val_loss"]
    assert len(history) == 50
    predictions = pl.read_parquet(folder / "python-published-prediction.parquet")
    parts = predictions["part"].value_counts().sort("part").rows()
    assert parts == [("test", 943), ("train", 3019), ("validation", 755)]
    net = networks.load(folder / "python-published-seed0.keras")
    assert net.names[0] == "v_563035_10"


@pytest.mark.slow
@needs_shared
def test_the_command_prints_the_list_and_writes_the_page(tmp_path: Path) -> None:
    words = ("--data", FOLDER, "--recipe", "elixir", "--seeds", "1", "-o", tmp_path / "o", "--json")
    process = forebay(*words, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert [(r["recipe"], r["variant"]) for r in json.loads(process.stdout)] == [
        ("elixir", "published"),
        ("elixir", "corrected"),
    ]
    assert json.loads((tmp_path / "o" / "article.json").read_text()) == json.loads(process.stdout)
    assert (tmp_path / "o" / "article.html").is_file()


@pytest.mark.slow
@needs_shared
def test_readings_from_the_service_equal_the_files(tmp_path: Path) -> None:
    with hydstra_server() as url, open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        settings = load_settings(tmp_path, {"FOREBAY_SOURCES__WATERNSW__URL": url})[0]
        fetched = read_record(load_dam("warragamba"), archive, settings=settings, now=NOW)
    assert fetched.level.equals(record().level)
    assert fetched.drivers.equals(record().drivers)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--recipe", "fortran"], "recipe 'fortran' is unknown; allowed are python, elixir, multi-day, all"),
        (["--backend", "theano"], "backend 'theano' is not known; allowed are jax, torch, tensorflow"),
        (["--seeds", "0"], "--seeds 0 is too small; give at least 1"),
        (["--data", "nowhere"], "folder 'nowhere' does not exist; --data must name"),
        (["--data", "."], "folder '.' contains 0 files named *dam_level*.csv, must be 1; --data must name"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(words: list[str], sentence: str, tmp_path: Path) -> None:
    process = forebay(*words, cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith(f"forebay: {sentence}")
    assert len(process.stderr.strip().splitlines()) == 1


@needs_shared
def test_a_file_with_other_columns_is_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "files", copy_function=shutil.copyfile)
    (tmp_path / "files").chmod(0o755)
    level = next((tmp_path / "files").glob("*dam_level*"))
    level.write_text(level.read_text().replace(",v,t,q", ",level,t,q", 1))
    with pytest.raises((ConfigError, SourceError), match=r"'v' is not a column of .*; its columns are"):
        article.read_readings(tmp_path / "files", settings=load_settings(tmp_path, {})[0], now=NOW)
