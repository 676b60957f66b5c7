from __future__ import annotations
def input_notes(names, dam):
    return [{"name": name, "unit": "", "description": ""} for name in names]
