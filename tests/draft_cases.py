"""Hand-written dam files whose daily tables a draft must reproduce, and answers to a draft's questions from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.draft.answers import Question


@dataclass
class DamFileAnswers:
    """Answers to questions as the author of a hand-written dam file would give them.

    `asked` has the keys of the questions; `other` has answers that a dam file does not state.
    """

    dam: Dam
    other: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, question: Question) -> str:
        self.asked.append(question.key)
        if question.key in self.other:
            return self.other[question.key]
        if question.key in ("name", "country", "time_zone", "latitude", "longitude"):
            return str(getattr(self.dam, question.key))
        if question.key == "full_supply":
            return "leave out"
        if question.key == "target":
            return next(option for option in question.options if self.matches(option, self.dam.target_gauge))
        name, key = question.key.rsplit(".", 1) if "." in question.key else question.key.rsplit(":", 1)
        gauges = [gauge for gauge in self.dam.gauges if self.matches(name, gauge)]
        if not gauges:
            if question.default is not None:
                return question.default
            raise AssertionError(f"the dam file does not answer {question}")
        return self.of_gauge(gauges[0], key)

    @staticmethod
    def matches(name: str, gauge: Gauge) -> bool:
        """Whether a key is that of a gauge: by its column, or by its file and column."""
        assert gauge.file is not None
        stem = Path(gauge.file.paths[0]).stem
        return name in (gauge.file.value, f"{stem}:{gauge.file.value}", stem)

    @staticmethod
    def of_gauge(gauge: Gauge, key: str) -> str:
        assert gauge.file is not None
        if key == "stamp":
            return "instant" if gauge.reading == "instantaneous" else gauge.stamp
        if key == "reading_at":
            return "day" if gauge.reading_at is None else gauge.reading_at.strftime("%H:%M")
        if key == "quality_codes":
            return gauge.file.quality_codes or "none"
        if key == "decimal_mark":
            return "comma" if gauge.file.decimal_comma else "point"
        return str(getattr(gauge, key) if hasattr(gauge, key) else getattr(gauge.file, key))
