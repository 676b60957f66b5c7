"""`forebay.settings`: order of precedence, source of each value, and one sentence for each fault."""

from pathlib import Path

import pytest

from forebay.errors import ConfigError
from forebay.settings import FILE_NAME, MAX_BYTES, Settings, data_folder, leaves, load_settings

URL = "http://127.0.0.1:8080/"


def load(folder: Path, text: str = "", **environ: str) -> tuple[Settings, dict[str, str]]:
    if text:
        (folder / FILE_NAME).write_text(text, "utf-8")
    return load_settings(folder, environ)


def fault(folder: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_key_has_a_default(tmp_path: Path) -> None:
    settings, origin = load(tmp_path)
    assert set(origin) == {key for key, _ in leaves(settings.model_dump())}
    assert set(origin.values()) == {"default"}
    assert settings.archive == f"sqlite:///{data_folder() / 'forebay.db'}"
    assert settings.output == "runs"


def test_the_file_overrides_the_default_and_the_environment_overrides_the_file(tmp_path: Path) -> None:
    text = 'output = "here"\nprovisional_days = 5\n[http]\nattempts = 7\n'
    settings, origin = load(tmp_path, text, FOREBAY_OUTPUT="there", FOREBAY_HTTP__DEADLINE_S="30")
    assert (settings.output, settings.provisional_days) == ("there", 5)
    assert (settings.http.attempts, settings.http.deadline_s, settings.http.read_timeout_s) == (7, 30.0, 60.0)
    assert origin["output"] == "environment (FOREBAY_OUTPUT)"
    assert origin["http.deadline_s"] == "environment (FOREBAY_HTTP__DEADLINE_S)"
    assert origin["provisional_days"] == origin["http.attempts"] == str(tmp_path / FILE_NAME)
    assert origin["http.read_timeout_s"] == "default"


def test_the_url_of_one_source_leaves_other_sources_unchanged(tmp_path: Path) -> None:
    settings, origin = load(tmp_path, FOREBAY_SOURCES__WATERNSW__URL=URL)
    assert settings.sources["waternsw"].url == URL
    assert settings.sources["vicwater"] == load_settings(tmp_path, {})[0].sources["vicwater"]
    assert origin["sources.waternsw.url"] == "environment (FOREBAY_SOURCES__WATERNSW__URL)"
    assert origin["sources.vicwater.url"] == "default"


def test_unrelated_environment_variables_have_no_effect(tmp_path: Path) -> None:
    settings, _ = load(tmp_path, OUTPUT="there", forebay_output="there", XFOREBAY_OUTPUT="there")
    assert settings.output == "runs"


def test_settings_do_not_change_once_loaded(tmp_path: Path) -> None:
    settings, _ = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.output = "elsewhere"  # type: ignore[misc]  # the test expects the error


def test_the_data_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder().name == "forebay"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FOREBAY_NOPE", "5", "setting 'nope' is unknown; `forebay settings` lists all"),
        ("FOREBAY_", "5", "setting '' is unknown"),
        ("FOREBAY_HTTP__RETRIES", "5", "setting 'http.retries' is unknown"),
        ("FOREBAY_HTTP__ATTEMPTS", "many", "setting http.attempts = 'many': input should be a valid integer"),
        ("FOREBAY_HTTP__ATTEMPTS", "99", "setting http.attempts = '99': input should be less than or equal to 20"),
        ("FOREBAY_HTTP__DEADLINE_S", "0", "setting http.deadline_s = '0': input should be greater than 0"),
        ("FOREBAY_HTTP__DEADLINE_S", "nan", "setting http.deadline_s = 'nan': input should be "),
        ("FOREBAY_HTTP", "5", "setting http = '5': this is a group of settings, not a single one"),
        ("FOREBAY_SOURCES", "5", "setting sources = '5': this is a group of settings, not a single one"),
        ("FOREBAY_SOURCES__WATERNSW", URL, f"setting sources.waternsw = '{URL}': this is a group of settings"),
        ("FOREBAY_SOURCES__BMO__URL", URL, "setting 'sources.bmo' is unknown; allowed are waternsw, vicwater, qld"),
        ("FOREBAY_SOURCES__WATERNSW__NAME", "x", "setting 'sources.waternsw.name' is unknown"),
        ("FOREBAY_SOURCES__WATERNSW__URL", "ftp://a", "setting sources.waternsw.url = 'ftp://a': 'ftp://a' must"),
        ("FOREBAY_ARCHIVE", "", "setting archive = '': string should have at least 1 character"),
        ("FOREBAY_OUTPUT", "", "setting output = '': string should have at least 1 character"),
    ],
)
def test_a_fault_in_the_environment_names_its_variable(tmp_path: Path, name: str, value: str, message: str) -> None:
    assert fault(tmp_path, "", **{name: value}).startswith(f"environment ({name}): {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("archive = 5", "setting archive = 5: input should be a valid string"),
        ("http = 5", "setting http = 5: this is a group of settings, not a single one"),
        ("[http]\nread = 5", "setting 'http.read' is unknown"),
        ("sources = []", "setting sources = []: this is a group of settings, not a single one"),
        ("[sources.bmo]", "setting 'sources.bmo' is unknown; allowed are waternsw, vicwater, qldwater"),
        ("provisional_days = -1", "setting provisional_days = -1: input should be greater than or equal to 0"),
    ],
)
def test_a_fault_in_the_file_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    assert fault(tmp_path, text).startswith(f"{tmp_path / FILE_NAME}: {message}")


def test_a_group_with_a_value_cannot_have_settings_below_it(tmp_path: Path) -> None:
    message = fault(tmp_path, "http = 5", FOREBAY_HTTP__ATTEMPTS="3")
    assert message == "setting 'http.attempts': 'http' has a value itself, so it cannot be a group; remove one"


@pytest.mark.parametrize(
    "content", [b"archive = ", b"\xff\xfe", b"x = " + b"[" * 5000], ids=["not TOML", "not UTF-8", "too deep"]
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert fault(tmp_path).startswith(f"{tmp_path / FILE_NAME} cannot be read as TOML: ")


def test_a_folder_with_the_files_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    assert fault(tmp_path).startswith(f"{tmp_path / FILE_NAME} cannot be read as TOML: ")


def test_the_mark_of_an_encoding_is_no_part_of_the_file(tmp_path: Path) -> None:
    """Some editors begin every file with it."""
    (tmp_path / FILE_NAME).write_bytes(b'\xef\xbb\xbfoutput = "here"\n')
    try:
        assert load(tmp_path)[0].output == "here"
    except ConfigError as error:
        pytest.fail(str(error))


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    comment = "#" * (MAX_BYTES - 20)
    assert load(tmp_path, f'output = "here"\n{comment}')[0].output == "here"
    assert fault(tmp_path, f'output = "here"\n{comment}{comment}').endswith("the limit for settings")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e9"])
def test_every_number_has_limits(tmp_path: Path, value: str) -> None:
    settings, _ = load(tmp_path)
    numbers = [key for key, default in leaves(settings.model_dump()) if isinstance(default, int | float)]
    assert {"http.longest_wait_s", "lease_wait_s", "workers"} <= set(numbers)
    for key in numbers:
        name = f"FOREBAY_{key.replace('.', '__').upper()}"
        assert f"setting {key} = '{value}': input should be " in fault(tmp_path, **{name: value})
