"""Forecasts of the water level of dams, from public gauges to a report.

The public interface is nine functions, imported on first use, so that ``import forebay`` costs nothing::

    forecast = forebay.forecast("lake.toml")     # fetch, hindcast, forecast
    forecast.to_frame()                          # Polars; .to_pandas(), .to_xarray()
    forecast.report("report.html")

The packages, in the order in which the data passes through them; a package imports only from packages before it:

`errors`, `text`, `log`, `tables`, `services`, `settings`, `metrics`, `files` → `dams` → `sources` → `archive` → `days`
→ `screen` → `features` → `nets` → `models` → `verify` → `forecasts` → `charts` → `report` → `jobs` → `article` → `cli`.
"""

TYPE_CHECKING = False  # as type checkers know it; `typing` would take most of the time of this import
if TYPE_CHECKING:
    from forebay.archive.store import open_archive
    from forebay.dams.dam_file import load_dam
    from forebay.jobs.brief import brief
    from forebay.jobs.forecast import forecast
    from forebay.jobs.hindcast import hindcast
    from forebay.jobs.observations import daily, fetch
    from forebay.jobs.observe import observe
    from forebay.jobs.outlook import outlook

__version__ = "0.2.0"

__all__ = ["brief", "daily", "fetch", "forecast", "hindcast", "load_dam", "observe", "open_archive", "outlook"]

_MODULES = {
    "load_dam": "forebay.dams.dam_file",
    "open_archive": "forebay.archive.store",
    "fetch": "forebay.jobs.observations",
    "daily": "forebay.jobs.observations",
    "hindcast": "forebay.jobs.hindcast",
    "forecast": "forebay.jobs.forecast",
    "outlook": "forebay.jobs.outlook",
    "brief": "forebay.jobs.brief",
    "observe": "forebay.jobs.observe",
}
"""Public function → the module that defines it."""


def __getattr__(name: str) -> object:
    """A public function, imported now."""
    if name not in _MODULES:
        raise AttributeError(f"module 'forebay' has no attribute {name!r}; public are {', '.join(sorted(_MODULES))}")
    from importlib import import_module

    function = getattr(import_module(_MODULES[name]), name)
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
