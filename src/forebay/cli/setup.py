"""Commands that list dams and settings: `forebay dams`, `forebay settings`."""

from __future__ import annotations

from forebay.cli.arguments import AsJson, print_result, settings_in_force


def dams(*, as_json: AsJson = False) -> None:
    """List the built-in dams: service, target, unit, and what supports the station ids.

    Example: forebay dams
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import catalogue, load_dam

    dams = [load_dam(name) for name in catalogue()]
    rows = [
        {"id": d.id, "name": d.name, "country": d.country, "services": list(d.services), "target": d.target.variable,
         "unit": d.target.unit, "gauges": len(d.gauges), "verified": d.verified, "simulated": d.simulated,
         "origin": d.origin}
        for d in dams
    ]  # fmt: skip
    lines = [
        {"id": d.id, "name": d.title, "country": d.country, "service": ", ".join(d.services),
         "target": d.target.variable, "unit": d.target.unit, "gauges": len(d.gauges),
         "verified": d.verified or ("simulated" if d.simulated else None)}
        for d in dams
    ]  # fmt: skip
    print_result(rows, as_json, lambda: terminal.table("Built-in dams", lines))


def settings(*, as_json: AsJson = False) -> None:
    """Print the settings in force and the origin of each value.

    Example: forebay settings
    """
    from forebay.cli import terminal
    from forebay.services import SERVICES
    from forebay.settings import leaves, public_value

    values, origin = settings_in_force()
    unused = {f"sources.{name}.api_key" for name, service in SERVICES.items() if not service.takes_key}
    listed = ((key, value) for key, value in leaves(values.model_dump()) if key not in unused)
    rows = [{"setting": key, "value": public_value(value), "from": origin[key]} for key, value in listed]
    print_result(rows, as_json, lambda: terminal.table("Settings in force", rows))
