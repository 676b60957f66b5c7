"""Words in column names: variables in several languages, and units."""

from __future__ import annotations

import re
import unicodedata

from forebay.dams.variables import VARIABLES
from forebay.sources.units import UNITS

_WORDS = {
    "storage_percent": "percent pct percentage porcentaje percentuale pourcentage porcentagem prozent",
    "snow_water_equivalent": "swe snow snowpack neige nieve neve schnee",
    "evaporation": "evap evaporation evaporacion evaporacao evaporazione verdunstung eto et0 pet",
    "rainfall": "rain rainfall precip precipitation precipitacion precipitacao precipitazione ppt prcp pcp "
    "lluvia pluie pioggia chuva niederschlag regen pluviometria",
    "temperature": "temp temperature temperatura temperatur tmean tavg tmp",
    "inflow": "inflow inflows entrada aporte afluencia afluente affluente apport afflusso zufluss influx",
    "release": "outflow outflows release releases discharged salida desembalse defluencia defluente sortie deflusso "
    "abfluss spill spillage saida",
    "storage": "storage stored volume vol contents content almacenamiento armazenamento volumen invaso "
    "inhalt embalsada embalsado stau",
    "discharge": "discharge flow streamflow flowrate caudal debit vazao portata durchfluss",
    "reservoir_level": "level elev elevation wse cota cote nivel nivell niveau livello quota pegel wasserstand "
    "stage pool height waterlevel",
}  # fmt: skip
_VARIABLE_OF_WORD = {word: variable for variable, words in _WORDS.items() for word in words.split()}
_PHRASES = {("agua", "actual"): "storage", ("water", "level"): "reservoir_level", ("dam", "level"): "reservoir_level",
            ("storage", "level"): None, ("volume", "percent"): "storage_percent"}  # fmt: skip
_STREAM_WORDS = {"river", "stream", "creek", "rio", "riviere", "fiume", "fluss", "gage", "gauge"}
_DERIVED_WORDS = {
    "net": "a net flow is computed from the storage",
    "cum": "a cumulated value is not a reading of one day",
    "forecast": "a forecast is not an observation",
    "fcst": "a forecast is not an observation",
    "predicted": "a forecast is not an observation",
    "capacity": "the capacity of the dam, not its content",
    "capacidad": "the capacity of the dam, not its content",
    "total": "a total, not a reading",
    "max": "the highest value, not a mean",
    "min": "the lowest value, not a mean",
    "anomaly": "a difference from a norm",
    "area": "an area",
}
_PARAMETERS = {
    "00054": ("storage", "ac-ft"), "62614": ("reservoir_level", "ft"), "62615": ("reservoir_level", "ft"),
    "00062": ("reservoir_level", "ft"), "00060": ("discharge", "ft3/s"), "00065": ("stream_level", "ft"),
    "00045": ("rainfall", "in"), "72020": ("reservoir_level", "ft"),
}  # fmt: skip
"""Parameter codes of USGS (the National Water Information System's list of parameter codes) in column names."""
_UNIT_WORDS = {
    "msnm": "m", "masl": "m", "mamsl": "m", "mngf": "m", "slm": "m", "ftmsl": "ft", "cuft": "ft3/s", "mcuft": "Mft3",
    "mcft": "Mft3", "mld": "ML/d", "ldm": "ML/d", "celsius": "degC", "fahrenheit": "degF", "degreesc": "degC",
    "degreesf": "degF", "pct": "%", "inch": "in", "inches": "in", "metros": "m", "metri": "m", "pies": "ft",
    "mill": "mm", "m3seg": "m3/s", "mc": "m3",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("³²", "32")
QUALITY_WORDS = {"q", "quality", "flag", "flags", "cd", "qualifier", "qual", "grade", "status", "code", "approval"}
_FLOWS = ("inflow", "release", "discharge")


def _plain_unit(text: str) -> str:
    """A unit's text in small letters, without marks and spaces; a percent sign stays."""
    return re.sub(r"[^a-z0-9%]", "", text.translate(_SUPERSCRIPTS).lower())


_UNITS = {_plain_unit(text): unit for unit, texts in UNITS.items() for text in texts.split()} | _UNIT_WORDS


def name_words(name: str) -> list[str]:
    """Words of a column's name in small letters, without accents.

    >>> name_words("Precipitación_mm"), name_words("MaxTemp (°C)"), name_words("inflow_m3s")
    (['precipitacion', 'mm'], ['max', 'temp', 'c'], ['inflow', 'm3s'])
    """
    text = unicodedata.normalize("NFKD", name.translate(_SUPERSCRIPTS))
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("%", " percent ")
    return re.findall(r"[a-z0-9]+", text.lower())


def variable_of_name(name: str) -> str | None:
    """Variable that a column's name states; None if it states none, or two.

    >>> variable_of_name("Rainfall_S_Piero"), variable_of_name("cota_msnm"), variable_of_name("x")
    ('rainfall', 'reservoir_level', None)
    """
    words = name_words(name)
    for word in words:
        if word in _PARAMETERS:
            return _PARAMETERS[word][0]
    for phrase, variable in _PHRASES.items():
        if set(phrase) <= set(words):
            return variable
    variables = {_VARIABLE_OF_WORD[word] for word in words if word in _VARIABLE_OF_WORD}
    if "storage_percent" in variables:  # also of "storage percent", "volume %"
        return "storage_percent"
    if len(variables) == 2 and "reservoir_level" in variables and "discharge" not in variables:
        return None
    first = next((variable for variable in _WORDS if variable in variables), None)
    if first == "reservoir_level" and _STREAM_WORDS & set(words):
        return "stream_level"
    return first


def reason_not_read(name: str) -> str | None:
    """Why a column of this name is no reading of one day; None if nothing indicates so."""
    return next((_DERIVED_WORDS[word] for word in name_words(name) if word in _DERIVED_WORDS), None)


def unit_of_text(text: str, variable: str) -> str | None:
    """Unit of a variable that a text states; a volume stands for the volume of a day where the variable is a flow.

    >>> unit_of_text("hm³", "storage"), unit_of_text("mcm", "release"), unit_of_text("hm3", "rainfall")
    ('hm3', 'hm3/d', None)
    """
    unit = _UNITS.get(_plain_unit(text))
    allowed = VARIABLES[variable].units
    if unit is not None and variable in _FLOWS and unit not in allowed:
        unit = {"hm3": "hm3/d", "m3": "m3/d", "ML": "ML/d", "GL": "GL/d", "MG": "mgd", "ac-ft": "ac-ft/d"}.get(unit)
    return unit if unit in allowed else None


def is_unit(text: str) -> bool:
    """Whether a text is a unit of any variable."""
    return bool(text) and _plain_unit(text) in _UNITS


def unit_of_name(name: str, variable: str) -> str | None:
    """Unit that a column's name states, in brackets or in its last words; None if it states none.

    >>> unit_of_name("Elevation (ft)", "reservoir_level"), unit_of_name("STORAGE ML", "storage")
    ('ft', 'ML')
    """
    for bracket in re.findall(r"[(\[]([^)\]]*)[)\]]", name):
        if (unit := unit_of_text(bracket, variable)) is not None:
            return unit
    words = name_words(name)
    for word in words:
        if word in _PARAMETERS and _PARAMETERS[word][0] == variable:
            return _PARAMETERS[word][1]
    for count in (3, 2, 1):
        text = "".join(words[-count:]) if len(words) > count else ""
        if text and (unit := unit_of_text("%" if text == "percent" else text, variable)) is not None:
            return unit
    return None
