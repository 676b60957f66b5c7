"""Parameters of a gauge's requests, and the user's key for a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, SourceError
from forebay.services import SERVICES, Service
from forebay.settings import HttpSettings, load_settings
from forebay.sources.request import Request
from forebay.sources.transport import open_transport
from tests.command_line import forebay
from tests.loopback import Received, Reply, loopback_server

KEY = "Zq7-secret-Zq8"
RIVER = {"role": "stream", "source": "waternsw", "station": "1", "variable": "discharge", "unit": "m3/s"}


@pytest.fixture(autouse=True)
def keyed_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOY_KEY", raising=False)
    entry = Service("Toy Water", "hydstra", "http://127.0.0.1/", key_header="X-Toy-Key", key_variable="TOY_KEY")
    monkeypatch.setitem(SERVICES, "toywater", entry)


@pytest.mark.parametrize(
    ("request_keys", "digest"),
    [
        ({}, "ac00b1f07109"),
        ({"variable": "130.00"}, "e98cff8c5b04"),
        ({"varfrom": "100.00", "varto": "141.00", "datasource": "A"}, "b3a41dc22877"),
    ],
)
@pytest.mark.parametrize("name", ["request", "hydstra"])
def test_the_old_name_of_request_is_read_and_no_digest_changes(
    request_keys: dict[str, str], digest: str, name: str
) -> None:
    gauge = Gauge.model_validate(RIVER | {name: request_keys}).in_time_zone("+10:00")
    assert dict(gauge.request) == request_keys
    assert gauge.series["rules"] == digest  # as archives of version 0.2 have it


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sensor": "6"}, r"request\.sensor is unknown; allowed with source = 'waternsw': variable, varfrom"),
        ({"variable": ""}, r"request\.variable = '' must be a text or a whole number"),
        ({"variable": True}, r"request\.variable = True must be a text or a whole number"),
        ({"variable": [1]}, r"request\.variable = \[1\] must be a text or a whole number"),
    ],
)
def test_an_unknown_key_or_a_wrong_value_of_request_is_an_error(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gauge.model_validate(RIVER | {"request": table})


def test_a_number_is_a_text() -> None:
    assert Gauge.model_validate(RIVER | {"request": {"variable": 141}}).request == (("variable", "141"),)


@pytest.mark.parametrize("variable", ["TOY_KEY", "FOREBAY_SOURCES__TOYWATER__API_KEY"])
def test_the_environment_gives_the_key_and_no_output_shows_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, origin = load_settings(Path(), {variable: KEY})
    assert settings.key_headers("toywater") == {"X-Toy-Key": KEY}
    assert settings.key_headers("waternsw") == {}
    assert origin["sources.toywater.api_key"] == f"environment ({variable})"
    assert KEY not in repr(settings)
    monkeypatch.setenv(variable, KEY)
    result = forebay("settings", "--json")
    shown = {row["setting"]: row["value"] for row in result.json}
    assert shown["sources.toywater.api_key"] == "***"
    assert "sources.waternsw.api_key" not in shown
    assert KEY not in result.out + forebay("settings").out


def test_the_longer_name_of_the_variable_overrides_the_shorter() -> None:
    environ = {"TOY_KEY": "old", "FOREBAY_SOURCES__TOYWATER__API_KEY": KEY}
    assert load_settings(Path(), environ)[0].key_headers("toywater") == {"X-Toy-Key": KEY}


def test_a_file_must_not_have_the_key(tmp_path: Path) -> None:
    (tmp_path / "forebay.toml").write_text(f'[sources.toywater]\napi_key = "{KEY}"\n')
    with pytest.raises(ConfigError, match="FOREBAY_SOURCES__TOYWATER__API_KEY") as caught:
        load_settings(tmp_path, {})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", [f"{KEY}\r\nHost: other", f"{KEY} ", f"{KEY}é"])
def test_a_key_that_no_header_can_carry_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(ConfigError, match=r"api_key: a key has only printable ASCII characters") as caught:
        load_settings(Path(), {"TOY_KEY": key})
    assert KEY not in str(caught.value)


def test_a_key_for_a_service_without_keys_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the service takes no key") as caught:
        load_settings(Path(), {"FOREBAY_SOURCES__WATERNSW__API_KEY": KEY})
    assert KEY not in str(caught.value)


def test_the_key_reaches_its_host_only() -> None:
    def elsewhere(request: Received) -> Reply:
        return Reply(b"{}")

    with loopback_server(elsewhere) as (other_url, at_other):
        target = other_url.replace("127.0.0.1", "localhost")

        def moved(request: Received) -> Reply:
            return Reply(b"", 302, {"Location": target}) if request.path == "/moved" else Reply(b"{}")

        with loopback_server(moved) as (url, received), open_transport(HttpSettings(attempts=1)) as send:
            send(Request(f"{url}/x", secret_headers={"X-Toy-Key": KEY}))
            with pytest.raises(SourceError, match="on another host") as caught:
                send(Request(f"{url}/moved", secret_headers={"X-Toy-Key": KEY}))
            send(Request(f"{url}/y"))
    assert [request.headers.get("x-toy-key") for request in received] == [KEY, KEY, None]
    assert at_other == []
    assert KEY not in str(caught.value) + repr(Request(url, secret_headers={"X-Toy-Key": KEY}))


@pytest.mark.parametrize(
    ("status", "message", "requests"),
    [(400, "it says no", 1), (500, "it says no", 1), (404, r"status 404 \(Not Found\)", 1), (503, "status 503", 3)],
)
def test_the_body_of_an_error_status_may_say_what_is_wrong(status: int, message: str, requests: int) -> None:
    """An error status that the service retries, 503, remains one; `error_of` knows nothing of 404."""

    def error_of(status: int, body: bytes) -> SourceError | None:
        return None if status == 404 else SourceError(f"it says {body.decode()}")

    with loopback_server(lambda _: Reply(b"no", status)) as (url, received):
        limits = HttpSettings(attempts=3, first_wait_s=0, longest_wait_s=0)
        with open_transport(limits) as send, pytest.raises(SourceError, match=message):
            send(Request(url, error_of=error_of))
    assert len(received) == requests


def test_the_body_of_an_expected_error_status_is_an_answer() -> None:
    def not_found(request: Received) -> Reply:
        return Reply(json.dumps({"message": "no data"}).encode(), 404)

    with loopback_server(not_found) as (url, _), open_transport(HttpSettings(attempts=1)) as send:
        assert json.loads(send(Request(url, error_statuses=frozenset({404})))) == {"message": "no data"}
        with pytest.raises(SourceError, match="status 404"):
            send(Request(url))
