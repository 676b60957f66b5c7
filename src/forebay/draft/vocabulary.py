"""Words in column names: variables in several languages."""

from __future__ import annotations

import re
import unicodedata

_WORDS = {
    "storage_percent": "percent pct percentage porcentaje percentuale pourcentage porcentagem prozent",
    "snow_water_equivalent": "swe snow snowpack neige nieve neve schnee",
    "evaporation": "evap evaporation evaporacion evaporacao evaporazione verdunstung eto et0 pet",
    "rainfall": "rain rainfall precip precipitation precipitacion precipitacao precipitazione ppt prcp pcp "
    "lluvia pluie pioggia chuva niederschlag regen pluviometria yagis csapadek opad opady neerslag nederbord",
    "temperature": "temp temperature temperatura temperatur tmean tavg tmp",
    "inflow": "inflow inflows entrada aporte afluencia afluente affluente apport afflusso zufluss influx entrant",
    "release": "outflow outflows release releases discharged salida desembalse defluencia defluente sortie deflusso "
    "abfluss spill spillage saida sortant abgabe",
    "storage": "storage stored volume vol contents content almacenamiento armazenamento volumen invaso "
    "inhalt embalsada embalsado stau hacim terfogat objetosc zapas volum",
    "discharge": "discharge flow streamflow flowrate caudal debit vazao portata durchfluss",
    "reservoir_level": "level elev elevation wse cota cote nivel nivell niveau livello quota pegel wasserstand "
    "stage pool height waterlevel seviye vizszint vizallas poziom hladina waterstand vattenstand",
}  # fmt: skip
_VARIABLE_OF_WORD = {word: variable for variable, words in _WORDS.items() for word in words.split()}
_PHRASES = {("agua", "actual"): "storage", ("water", "level"): "reservoir_level", ("dam", "level"): "reservoir_level",
            ("storage", "level"): None, ("volume", "percent"): "storage_percent"}  # fmt: skip
PARAMETERS = {
    "00054": ("storage", "ac-ft"), "62614": ("reservoir_level", "ft"), "62615": ("reservoir_level", "ft"),
    "00062": ("reservoir_level", "ft"), "00060": ("discharge", "ft3/s"), "00065": ("stream_level", "ft"),
    "00045": ("rainfall", "in"), "72020": ("reservoir_level", "ft"),
}  # fmt: skip
"""Parameter codes of USGS (the National Water Information System's list of parameter codes) in column names."""
LETTERS = str.maketrans({
    **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)),
    "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "Ł": "L", "Ø": "O",
})  # fmt: skip
"""Superscripts and Latin letters without an accent mark of their own → ASCII."""
_WORDS_OF_SCRIPTS = {
    "storage_percent": "貯水率 蓄水率 저수율",
    "rainfall": "雨量 降水量 降雨量 강수량 강우량 ปริมาณน้ำฝน ปริมาณฝน осадки वर्षा",
    "inflow": "流入量 入库流量 入流 유입량 น้ำไหลเข้า приток",
    "release": "放流量 出库流量 出流 방류량 น้ำระบาย сброс",
    "storage": "貯水量 蓄水量 库容 저수량 ปริมาตร ปริมาณน้ำในอ่าง ปริมาณน้ำเก็บกัก объем объём भंडारण",
    "reservoir_level": "水位 수위 ระดับน้ำ уровень जलस्तर",
}
"""Variable → words of languages that are not written in Latin letters; the first one in a name counts."""
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
QUALITY_WORDS = {"q", "quality", "flag", "flags", "cd", "qualifier", "qual", "grade", "status", "code", "approval"}


def name_words(name: str) -> list[str]:
    """Words of a column's name in small letters, without accents.

    >>> name_words("Precipitación_mm"), name_words("MaxTemp (°C)"), name_words("inflow_m3s")
    (['precipitacion', 'mm'], ['max', 'temp', 'c'], ['inflow', 'm3s'])
    """
    text = unicodedata.normalize("NFKD", name.translate(LETTERS))
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("%", " percent ")
    return re.findall(r"[a-z0-9]+", text.lower())


def variable_of_name(name: str) -> str | None:
    """Variable that a column's name states; None if it states none, or two.

    >>> variable_of_name("Rainfall_S_Piero"), variable_of_name("cota_msnm"), variable_of_name("x")
    ('rainfall', 'reservoir_level', None)
    """
    words = name_words(name)
    if (parameter := next((word for word in words if word in PARAMETERS), None)) is not None:
        return PARAMETERS[parameter][0]
    if (phrase := next((phrase for phrase in _PHRASES if set(phrase) <= set(words)), None)) is not None:
        return _PHRASES[phrase]
    return _variable_of_words(words) or _variable_of_script(name)


def _variable_of_words(words: list[str]) -> str | None:
    variables = {_VARIABLE_OF_WORD[word] for word in words if word in _VARIABLE_OF_WORD}
    if "storage_percent" in variables:  # also of "storage percent", "volume %"
        return "storage_percent"
    if len(variables) == 2 and "reservoir_level" in variables and "discharge" not in variables:
        return None
    first = next((variable for variable in _WORDS if variable in variables), None)
    if first == "reservoir_level" and _STREAM_WORDS & set(words):
        return "stream_level"
    return first


def _variable_of_script(name: str) -> str | None:
    """Variable of a name that is not in Latin letters."""
    lower = name.lower()
    return next((one for one, texts in _WORDS_OF_SCRIPTS.items() if any(text in lower for text in texts.split())), None)


def reason_not_read(name: str) -> str | None:
    """Why a column of this name is no reading of one day; None if nothing indicates so."""
    return next((_DERIVED_WORDS[word] for word in name_words(name) if word in _DERIVED_WORDS), None)
