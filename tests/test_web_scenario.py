"""Scenarios by the API: equal to those of the command, without a fit, and wrong requests get one sentence."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forebay.models.monotone import MonotoneHuber
from forebay.web import scenarios
from forebay.web.rates import Rate
from tests.command_line import forebay as command
from tests.test_web_api import problem_of
from tests.web_server import LAKE, LAST, Place

PATH = "/dams/small/scenario"


def post(place: Place, status: int = 200, **content: object) -> Any:  # Any: a JSON value
    answer = place.client.post(PATH, json=content)
    if status != 200:
        return problem_of(answer, status)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("wetness", ["current", "wet"])
def test_an_answer_is_that_of_the_command(served: Place, site_template: Path, wetness: str) -> None:
    run = command("outlook", site_template / "small.toml", "--archive", served.url, "--rain", "44,20,0",
                  "--wetness", wetness, "--json")  # fmt: skip
    assert run.code == 0, run.err
    answer = post(served, rain=[44, 20, 0], wetness=wetness)
    names = {"lead": "lead_time", "valid_date": "valid_date", "quantile": "quantile", "level": "level"}
    expected = [{name: row[other] for name, other in names.items()} for row in run.json["scenarios"]]
    assert answer["forecast"] == expected and len(expected) == 2 * 7
    names = {"threshold": "threshold", "kind": "kind", "lead": "lead_time", "probability": "probability"}
    expected = [{name: row[other] for name, other in names.items()} for row in run.json["probabilities"]]
    assert [{name: row[name] for name in names} for row in answer["probabilities"]] == expected and expected
    assert (answer["init_date"], answer["start_level"]) == (str(LAST), run.json["level"])
    assert (answer["dam"], answer["unit"], answer["rain"], answer["is_forecast"]) == ("small", "m", [44, 20, 0], False)
    assert answer["notes"] == run.json["notes"]


def test_nothing_is_fitted_in_a_request(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a request fits a model")

    monkeypatch.setattr(MonotoneHuber, "fit", fail)
    monkeypatch.setattr("forebay.verify.known_rain.known_rain_hindcast", fail)
    monkeypatch.setattr("forebay.jobs.scenario.load_scenarios", fail)
    monkeypatch.setattr("forebay.jobs.scenario.scenarios_of", fail)
    assert post(served, rain=[10])["forecast"]


def test_units_are_converted(served: Place) -> None:
    in_mm, in_inches = (post(served, rain=[amount], rain_unit=unit) for amount, unit in ((50.8, "mm"), (2, "in")))
    assert in_mm["forecast"] == in_inches["forecast"]
    assert (in_inches["rain"], in_inches["rain_unit"]) == ([2], "in")
    assert post(served)["forecast"] == post(served, rain=[0, 0, 0])["forecast"] != in_mm["forecast"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"rain": [-1]}, "rain: -1 mm a day must be 0 to 1,900 mm; the largest rain of a day on record is 1,825 mm."),
        ({"rain": [0, 4000]}, "rain: 4000 mm a day must be 0 to 1,900 mm; "),
        ({"rain": [1, 2, 3, 4]}, "rain has 4 days; at most 3 are forecast."),
        ({"rain": [1], "release": [3]}, "release: Small Dam has no release gauge, so there is no past release to "),
        ({"rain": ["4"]}, "rain.0 = '4': Input should be a valid number"),
        ({"rain": 4}, "rain = '4': Input should be a valid list"),
        ({"rain": [1], "until": "full"}, "until = 'full': there is no such field; "),
        ({"rain": [1], "rain_unit": "ft"}, "rain_unit = 'ft': Input should be 'mm', 'in' or 'cm'"),
        ({"rain": [1], "wetness": "damp"}, "wetness = 'damp': Input should be 'dry', 'current' or 'wet'"),
    ],
)
def test_a_wrong_scenario_gets_one_sentence(served: Place, content: dict[str, object], sentence: str) -> None:
    detail = post(served, 422, **content)
    assert detail.startswith(sentence), detail


def test_a_body_that_is_no_json(served: Place) -> None:
    for body in (b"", b"{", b"[]", b'{"rain": [1e999]}', b'{"rain": [NaN]}'):
        problem_of(served.client.post(PATH, content=body, headers={"content-type": "application/json"}), 422)


def test_too_many_scenarios_are_refused(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    state = served.app.state.scenarios
    monkeypatch.setattr(state, "rate", Rate(0.1, burst=2, clock=lambda: 0.0))
    assert [served.client.post(PATH, json={"rain": [1]}).status_code for _ in range(3)] == [200, 200, 429]
    answer = served.client.post(PATH, json={"rain": [1]})
    assert answer.headers["retry-after"] == "10"
    assert problem_of(answer, 429).startswith("Too many scenarios; try again in 10 s, or send a token")


def test_a_new_file_is_followed_and_old_scenarios_say_so(served: Place, site_template: Path) -> None:
    before = post(served, rain=[1])
    day = served.app.state.scenarios.model("small", planned_release=False).day
    assert served.app.state.scenarios.model("small", planned_release=False).day is day, "it is read once"
    path = served.folder / "runs" / "small" / "scenario.json.gz"
    path.touch()
    assert served.app.state.scenarios.model("small", planned_release=False).day is not day
    assert post(served, rain=[1]) == before
    served.execute("DELETE FROM forecast_record WHERE sequence = 2")
    served.site.update()
    note = post(served, rain=[1])["notes"][-1]
    assert note.startswith(f"This scenario starts from {LAST}, and the newest forecast from ")
    path.unlink()
    answer = served.client.post(PATH, json={"rain": [1]})
    assert "`forebay refresh --scenarios` writes them" in problem_of(answer, 404)


def test_only_the_last_models_stay_in_memory(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "MODELS_IN_MEMORY", 2)
    known = scenarios.Scenarios(served.folder / "runs")
    for name in ("b", "c"):
        (served.folder / "runs" / name).symlink_to(served.folder / "runs" / "small")
    first = known.model("small", planned_release=False)
    known.model("b", planned_release=False)
    assert known.model("small", planned_release=False) is first
    known.model("c", planned_release=False)
    assert known.model("small", planned_release=False) is first
    assert len(known._models) == 2


def test_scenarios_are_ready_before_anybody_asks(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening the page of a dam is enough; a file that changes is read again, and one that is absent is no error."""
    monkeypatch.setattr(scenarios, "READY_S", 0.01)
    known: scenarios.Scenarios = served.app.state.scenarios
    end, read = threading.Event(), []
    reader = scenarios.read_scenario_model

    def counted(folder: Path, *, planned_release: bool) -> Any:  # Any: what the reader returns
        model = reader(folder, planned_release=planned_release)
        read.append((folder.name, planned_release))
        return model

    monkeypatch.setattr(scenarios, "read_scenario_model", counted)
    known.expect(LAKE.model_copy(update={"id": "absent"}))
    thread = threading.Thread(target=known.keep_ready, args=(end,))
    thread.start()
    try:
        time.sleep(0.2)
        assert read == [], "nobody has looked at a dam that has scenarios"
        assert served.client.get(str(served.client.base_url.copy_with(path="/dams/small"))).status_code == 200
        wait_for(lambda: read == [("small", False)])
        (served.folder / "runs" / "small" / "scenario.json.gz").touch()
        wait_for(lambda: read == [("small", False)] * 2)
        assert post(served, rain=[1]) and len(read) == 2, "a request reads nothing"
    finally:
        end.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_request_does_not_wait_for_the_file_of_another_dam(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    known = scenarios.Scenarios(served.folder / "runs")
    expected = known.model("small", planned_release=False)
    is_read, may_end = threading.Event(), threading.Event()

    def slow(folder: Path, *, planned_release: bool) -> Any:  # Any: what the reader returns
        is_read.set()
        assert may_end.wait(60)
        return expected

    monkeypatch.setattr(scenarios, "read_scenario_model", slow)
    thread = threading.Thread(target=known.model, args=("other",), kwargs={"planned_release": False})
    thread.start()
    try:
        assert is_read.wait(60)
        answers: list[Any] = []
        request = threading.Thread(target=lambda: answers.append(known.model("small", planned_release=False)))
        request.start()
        request.join(20)
        assert answers == [expected]
    finally:
        may_end.set()
        thread.join(60)


def wait_for(condition: Callable[[], Any]) -> Any:  # Any: what the condition returns
    for _ in range(6000):
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not happen within a minute")


def test_the_limits_are_those_of_the_record(served: Place) -> None:
    answer = served.get(PATH)
    names = ("days", "rain_unit", "largest_rain", "release_unit")
    assert tuple(answer[name] for name in names) == (3, "mm", 1900, None)
    rain = [value for (value,) in served.rows(
        "SELECT value FROM observation JOIN series ON series = id WHERE variable = 'rainfall' ORDER BY time"
    )]  # fmt: skip
    before_the_fit = 365  # the last fit is that of 1 January 2019
    assert answer["largest_rain_in_training"]["1"] == pytest.approx(max(rain[1:before_the_fit]))
    assert json.loads(json.dumps(answer))["init_date"] == str(LAST)
