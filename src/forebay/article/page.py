"""`article.html`: the article's recipes side by side, what their faults cost, and what a forecast takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forebay.article import charts as article_charts
from forebay.article.results import BASELINES, RECIPE_TITLES, Fault, Result, SameDays, Story
from forebay.article.wording import COMPLAINTS, NAMES, WORDS
from forebay.charts import drawing
from forebay.charts.spec import file_spec, legend_entries, page_spec
from forebay.report.page import Html, chart, document, element, escaped, joined, legend, pairs, table

if TYPE_CHECKING:
    from forebay.charts.spec import AnyChart

_TITLE = "The article, as published and as corrected"
_SECTIONS = {
    "recipes": "The recipes side by side",
    "faults": "Seven faults, and what each costs",
    "same-days": "What a forecast reaches on the same days",
    "charts": "Losses and predictions",
    "complaints": "The article's complaints, and what answers them",
    "words": "Words and files",
}


def write_page(story: Story, folder: Path) -> None:
    """Write article.html and, per result, its charts as HTML, SVG and PNG into `folder`."""
    (folder / "article.html").write_bytes(render(story).encode())
    for result in story.results:
        pictures = {"history": article_charts.loss_chart(result), "prediction": article_charts.prediction_chart(result)}
        drawings = drawing.start((f"{result.stem}-{name}", file_spec(made)) for name, made in pictures.items())
        drawing.write(drawings, folder)
        for name, picture in pictures.items():
            stem = f"{result.stem}-{name}"
            title = f"{result.title}: {name}"
            body = joined((Html("<main>"), element("section", _drawn(stem, picture)), Html("</main>")))
            (folder / f"{stem}.html").write_bytes(document(title, body).encode())


def render(story: Story) -> str:
    """The page's text."""
    body = joined(
        (
            _head(story),
            Html("<main>"),
            _recipes(story),
            _faults(story.faults),
            _same_days(story),
            _charts(story.results),
            _complaints(story),
            _words(story),
            Html("</main>"),
            element("footer", f"Made by forebay. Data: {story.licence or 'licence not stated'}."),
        )
    )
    return document(_TITLE, body)


def metres(value: float | None, *, signed: bool = False) -> str:
    """A length for people, in metres to a tenth of a millimetre.

    >>> metres(-0.00204, signed=True)
    '−0.0020'
    """
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.4f}".replace("-", "−")


def _reached(result: Result) -> str:
    deviation = f" ± {result.deviation():.4f}" if len(result.mae) > 1 else ""
    return f"{metres(result.mean())}{deviation}"


def _named(result: Result) -> Html:
    return joined((RECIPE_TITLES[result.recipe], element("span", result.variant)))


def _section(ident: str, *content: object) -> Html:
    return element("section", element("h2", _SECTIONS[ident]), *content, ident=ident)


def _head(story: Story) -> Html:
    links = (Html(f'<li><a href="#{ident}">{escaped(title)}</a></li>') for ident, title in _SECTIONS.items())
    lead = (
        "“Elixir vs Python for real world AI/ML” (Alembic, 2023) predicts how far the water level of Warragamba Dam "
        "moves "
        "in a day, with a small neural net, in Python and in Elixir. Here all of it was run again on the same "
        "readings, "
        "faults included; beside it stands each recipe without its faults, what every fault costs, and what a forecast "
        "reaches on the same days. All errors are mean absolute errors (MAE) in metres: smaller is better."
    )
    boxes = [_box(result, story) for result in story.results if result.variant == "published"]
    return joined(
        (
            element("header", element("h1", _TITLE), element("p", lead, css="sub")),
            element("nav", element("ul", *links)),
            element("header", element("div", *boxes, *_own_box(story), css="figures")),
        )
    )


def _box(result: Result, story: Story) -> Html:
    published = story.published.get(result.recipe)
    said = f"the article says {published:.4f}" if published else "the article gives no number"
    return element(
        "div",
        element("h3", f"{RECIPE_TITLES[result.recipe]}, as published"),
        element("strong", f"{_reached(result)} m"),
        element("span", f"{said}; yesterday's change again: {metres(result.baselines_test['last_change'])}"),
    )


def _own_box(story: Story) -> list[Html]:
    return [
        element(
            "div",
            element("h3", f"forebay, one day ahead, {one.n} days"),
            element("strong", f"{metres(one.mae['default'])} m"),
            element("span", f"the corrected net on the same days: {metres(one.mae['net'])}"),
        )
        for one in story.same_days[:1]
    ]


def _recipes(story: Story) -> Html:
    rows = [
        (
            _named(result),
            f"{result.rows}",
            f"{result.train} / {result.validation} / {result.test}",
            metres(story.published.get(result.recipe)) if result.variant == "published" else "",
            _reached(result),
            *(metres(result.baselines_test[name]) for name in BASELINES),
        )
        for result in story.results
    ]
    headers = ("recipe", "rows", "train / validation / test", "the article", "our MAE")
    first = story.results[0]
    notes = [
        f"Nets on {first.backend}; mean ± standard deviation over {len(first.mae)} seed(s). In the two Python recipes "
        "the "
        "validation rows are counted within the training rows, as Keras splits them off there.",
        "No change predicts 0, the median is that of the training labels, the last change is the one known when the "
        "label's day begins; Huber regression and LightGBM (L1) see the net's inputs and rows.",
    ]
    for result in story.results:
        if result.baselines_on != "test rows":
            everywhere = ", ".join(f"{NAMES[name]} {metres(result.baselines[name])}" for name in BASELINES)
            notes.append(
                f"{result.title}: the split is drawn anew for each seed, so its row holds means over the tests of all "
                f"seeds. On {result.baselines_on}: {everywhere}; the row of −55 m (2009-03-07, from a level marked "
                "unavailable the day after) is among them: it adds .059 to a test MAE where it falls into the test. "
                "The net's predictions have a standard deviation of "
                f"{', '.join(f'{s:.5f}' for s in result.spread)} m: it has collapsed to a constant near the median."
            )
    corrected = (
        "Corrected means: the label is tomorrow's change, L(d+1) − L(d); days whose level or gauges are marked "
        "unavailable "
        "are left out and not set to 0; the last 20% of the days are the test; pairs stay pairs; the past change is an "
        "input; the normalisation is fitted on the rows that the net learns from. Its test is another time, with other "
        "floods, so its numbers are to be read against the baselines in their row and not against the row above."
    )
    return _section(
        "recipes",
        table((*headers, *map(NAMES.get, BASELINES)), rows, texts=1),
        element("p", corrected),
        *(element("p", note, css="small") for note in notes),
    )


def _faults(faults: tuple[Fault, ...]) -> Html:
    rows = [
        (f"{f.number}", f.title, metres(f.published), metres(f.corrected), metres(f.cost, signed=True)) for f in faults
    ]
    intro = (
        "One change at a time, from the published recipe: the MAE as published, the MAE with this one fault mended, "
        "and the difference. A plus says that the published number was too good by that much; a minus, that the "
        "fault made the net worse by that much."
    )
    headers = ("", "fault", "as published, m", "mended, m", "difference, m")
    details = (
        joined(
            (
                element("h3", f"{f.number} · {f.title}"),
                element("p", f"{f.changed[0].upper()}{f.changed[1:]}. On {f.rows}. {f.told}"),
            )
        )
        for f in faults
    )
    return _section("faults", element("p", intro), table(headers, rows, texts=2), *details)


def _same_days(story: Story) -> Html:
    names = ("net", "default", "last_change", "damped_change", "no_change")
    rows = [
        (f"{RECIPE_TITLES[one.recipe]}: {what}", f"{one.n}", *(metres(values[n], signed=what == "bias") for n in names))
        for one in story.same_days
        for what, values in (("MAE", one.mae), ("bias", one.bias), ("MAE, 5% largest rises", one.top5))
    ]
    headers = ("one day ahead, m", "days", *(NAMES[name] for name in names))
    own = [
        (f"{lead} d", f"{n}", metres(mae), metres(none), metres(last), f"{inside:.1%}")
        for lead, n, mae, none, last, inside in story.own.select(
            "lead_time", "n", "mae", "no_change", "last_change", "coverage_90"
        ).iter_rows()
    ]
    own_headers = ("lead", "days", "forebay", "no change", "last change", "outcomes inside its 90% interval")
    return _section(
        "same-days",
        element("p", _spans(story.same_days)),
        table(headers, rows, texts=1),
        element("p", _lesson(story.same_days)),
        element("h3", f"The project's own forecast in its hindcast (window {story.own_window})"),
        element("p", "Fitted anew each year, with what was known on each day; every lead with its interval."),
        table(own_headers, own, texts=1),
    )


def _spans(same_days: tuple[SameDays, ...]) -> str:
    spans = "; ".join(f"{RECIPE_TITLES[one.recipe]} {one.first} to {one.last}" for one in same_days)
    return (
        "The corrected nets, the project's own forecast (model default) and the plain references, all from the same "
        "days "
        f"to the same next day, none of which any of them was fitted on: {spans}."
    )


def _lesson(same_days: tuple[SameDays, ...]) -> str:
    """What these figures say of the nets."""
    worse = [RECIPE_TITLES[one.recipe] for one in same_days if one.mae["net"] > one.mae["last_change"]]
    if not worse:
        return "Each corrected net is better than saying yesterday's change again."
    return (
        f"Corrected or not, a small net is no forecast yet: {', '.join(worse)}: saying yesterday's change again is "
        "better. "
        "What it takes is inputs that remember (past changes, rain summed over days, how wet the ground is), a robust "
        "fit "
        "that can go beyond what was seen, judgement against plain references on days that were not fitted on, and an "
        "interval that says how sure it is."
    )


def _charts(results: tuple[Result, ...]) -> Html:
    drawn = []
    for result in results:
        drawn.append(element("h3", result.title))
        drawn.append(_drawn(f"{result.stem}-prediction", article_charts.prediction_chart(result)))
        drawn.append(_drawn(f"{result.stem}-history", article_charts.loss_chart(result)))
    intro = (
        "Drag a prediction chart to pan, turn the wheel to zoom, double-click to go back. Predictions are those of the "
        "first seed; Keras' loss is taken under dropout, so it lies above the validation loss."
    )
    return _section("charts", element("p", intro), *drawn)


def _drawn(name: str, picture: AnyChart) -> Html:
    spec = page_spec(picture)
    return joined((chart(name, spec), legend(legend_entries(spec))))


def _complaints(story: Story) -> Html:
    one = story.same_days[0]
    figures = {
        "net_top5": metres(one.top5["net"]), "own_top5": metres(one.top5["default"]),
        "net_bias": metres(one.bias["net"], signed=True), "own_bias": metres(one.bias["default"], signed=True),
    }  # fmt: skip
    rows = [(complaint, answer.format(**figures)) for complaint, answer in COMPLAINTS]
    return _section("complaints", table(("the article says", "here"), rows, texts=2))


def _words(story: Story) -> Html:
    stems = ", ".join(result.stem for result in story.results)
    files = f"Beside this page, for each of {stems}:"
    return _section("words", pairs(WORDS), element("p", files), element("ul", *(element("li", f) for f in _FILES)))


_FILES = (
    "…-history and …-prediction: CSV and Parquet tables; charts as HTML (pan and zoom), SVG and PNG",
    "…-seedN.keras, with its inputs' names in …-seedN.json: the net, which loads under jax, torch and TensorFlow",
    "…-seedN.onnx: the same net for applications in other languages, checked against Keras in onnxruntime",
    "article.json: the first table for machines",
)
