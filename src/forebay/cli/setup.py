"""The commands that show what is set up: `forebay dams` and `forebay settings`."""

from __future__ import annotations

from forebay.cli.arguments import Json, say, settings_in_force


def dams(*, as_json: Json = False) -> None:
    """List the built-in dams.

    Example: forebay dams
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import catalogue, load_dam

    listed = [load_dam(name) for name in catalogue()]
    rows = [
        {"id": d.id, "name": d.name, "country": d.country, "target": f"{d.target.variable} ({d.target.unit})",
         "gauges": len(d.gauges), "simulated": d.simulated}
        for d in listed
    ]  # fmt: skip
    say(rows, as_json, lambda: terminal.table("Built-in dams", rows))


def settings(*, as_json: Json = False) -> None:
    """Print the settings in force and where each value came from.

    Example: forebay settings
    """
    from forebay.cli import terminal
    from forebay.settings import leaves

    chosen, origin = settings_in_force()
    rows = [{"setting": k, "value": _without_password(v), "from": origin[k]} for k, v in leaves(chosen.model_dump())]
    say(rows, as_json, lambda: terminal.table("Settings in force", rows))


def _without_password(value: object) -> object:
    """A URL without its password, anything else as it is."""
    from forebay.settings import without_password

    if isinstance(value, str) and "://" in value:
        from forebay.archive.engines import public_setting

        return public_setting(value)
    return without_password(value) if isinstance(value, str) else value
