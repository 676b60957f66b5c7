"""Draft of a dam file from gauges near a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from forebay.dams.dam import Dam
from forebay.draft.answers import Answers, Question
from forebay.draft.dam import full_supply_answer, top_table
from forebay.draft.dam_text import TomlTable, dam_text
from forebay.errors import DataError

if TYPE_CHECKING:
    from forebay.draft.candidates import Candidate
    from forebay.draft.ranking import DriverScore

_DATUMS = {"NGVD-29": "National Geodetic Vertical Datum of 1929", "NAVD-88": "North American Vertical Datum of 1988"}


@dataclass(frozen=True)
class Place:
    """Id and position of a new dam, with its decided name, country and time zone."""

    id: str
    latitude: float
    longitude: float
    name: str
    country: str
    time_zone: str

    @property
    def keys(self) -> dict[str, object]:
        """Keys of the dam file."""
        fields = ("id", "name", "country", "latitude", "longitude", "time_zone")
        return {name: getattr(self, name) for name in fields}


def decide_place(dam_id: str, latitude: float, longitude: float, answers: Answers) -> Place:
    """The place of a new dam; asks for its name, its country and its time zone.

    Raises
    ------
    ConfigError
        If a question has no answer.
    """
    name = answers.decide(Question("name", "Name of the dam", {}, dam_id.replace("_", " ").replace("-", " ").title()))
    country = answers.decide(Question("country", "Country of the dam", {}, "unknown"))
    text = "Time zone of the dam, such as +10:00 or America/Chicago; the days of its readings depend on it"
    return Place(dam_id, latitude, longitude, name, country, answers.decide(Question("time_zone", text)))


def decide_target(series: Sequence[Candidate], answers: Answers) -> Candidate:
    """The series to forecast: the only level or storage, or the answer to a question.

    Raises
    ------
    ConfigError
        If the question has no answer.
    DataError
        If there is none.
    """
    levels = {candidate.key: candidate for candidate in series if candidate.is_target}
    if not levels:
        raise DataError("no gauge near the place measures a level or a storage of a lake; give a larger --radius-km")
    question = Question(
        "target", "Which gauge is the level (or storage) to forecast", {key: one.title for key, one in levels.items()}
    )
    conclusion = next(iter(levels)) if len(levels) == 1 else None
    target = levels[answers.decide(question, conclusion, "the only one within the radius")]
    if target.source != "cwms" or target.variable != "reservoir_level":
        return target
    datum = answers.decide(Question("datum", "Vertical datum of the level", _DATUMS))
    request = target.keys["request"]
    assert isinstance(request, Mapping)
    return target.with_keys({"request": {**request, "datum": datum}})


def dam_of(place: Place, target: Candidate, drivers: Sequence[Candidate]) -> Dam:
    """The dam with these gauges, without full supply."""
    tables = [target.table(is_target=True), *(driver.table() for driver in drivers)]
    return Dam.model_validate({**place.keys, "target": _target_keys(target), "gauges": tuple(tables)})


def choose_drivers(
    drivers: Mapping[str, Candidate], scores: Mapping[str, DriverScore], failures: Mapping[str, str], answers: Answers
) -> list[Candidate]:
    """The drivers of the dam file, by column: those that lower the error, the best first, unless stated otherwise.

    Parameters
    ----------
    failures
        Column → sentence, of drivers that could not be fetched.
    """
    used = []
    for column in [*scores, *(column for column in failures if column not in scores)]:
        candidate = drivers[column]
        question = Question(candidate.key, f"Use {candidate.title}", {"use": "a driver", "ignore": "left out"})
        if column in failures:
            answers.note(candidate.key, "ignore", f"{candidate.title}: not fetched, {failures[column]}")
            continue
        score = scores[column]
        conclusion = "use" if score.is_useful else "ignore"
        if answers.decide(question, conclusion, f"{candidate.title}: {score.sentence}") == "use":
            used.append(candidate)
    return used


def near_text(
    place: Place,
    target: Candidate,
    drivers: Sequence[Candidate],
    answers: Answers,
    *,
    scores: Mapping[str, DriverScore],
    now: datetime,
) -> str:
    """Text of the dam file; each driver has its score, its distance and its period as a comment.

    Parameters
    ----------
    scores
        Key of a candidate → its score.
    """
    unit = target.unit
    full_supply = full_supply_answer(unit, answers)
    tables = [
        top_table(place.keys, full_supply, answers),
        TomlTable("[target]", _target_keys(target)),
        TomlTable("[[gauges]]", target.table(is_target=True), {"role": target.title}),
        *(
            TomlTable("[[gauges]]", driver.table(), {"role": f"{scores[driver.key].sentence}; {driver.title}"})
            for driver in drivers
        ),
    ]
    answers.check_settings()
    head = [
        f"Draft by `forebay new --near {place.latitude:g},{place.longitude:g}` on {now:%Y-%m-%d}: check every line",
        "with a comment. Keys: docs/dam_file.md.",
    ]
    return dam_text(tables, head)


def _target_keys(target: Candidate) -> dict[str, object]:
    """The table `target` of the dam file."""
    request = target.keys.get("request")
    datum = request.get("datum") if isinstance(request, Mapping) else None
    text = f"{target.unit} above {datum}" if datum else f"{target.unit}, as published by {target.source}"
    return {"variable": target.variable, "unit": target.unit, "datum": text}


def first_day(today: date, years: int) -> date:
    """The same day of the year, `years` before; 28 February for 29 February."""
    day = min(today.day, 28) if today.month == 2 else today.day
    return today.replace(year=today.year - years, day=day)
