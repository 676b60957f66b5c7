"""Questions on what the files do not tell, and the answers to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from forebay.errors import ConfigError

_MAX_OPTIONS = 30


@dataclass(frozen=True)
class Question:
    """What a user must decide.

    Attributes
    ----------
    key
        Name of the decision, as in `--set KEY=VALUE`.
    text
        The question, in one sentence without the options.
    options
        Allowed value → its meaning; empty: any text.
    default
        Proposal that changes no number of the daily table; None: there is none, and only the user can tell.
    """

    key: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None


@dataclass(frozen=True)
class Decision:
    """A decision, and the reason for it."""

    key: str
    value: str
    reason: str


@dataclass
class Answers:
    """Decisions on a draft: those of the user, conclusions from the files, and answers to questions.

    Attributes
    ----------
    settings
        Decisions that the user states beforehand (`--set`), by key.
    accept_defaults
        Whether proposals are accepted without a question (`--yes`).
    ask
        Prompt for an answer; None: nobody can answer.
    decisions
        All decisions so far, in their order.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    accept_defaults: bool = False
    ask: Callable[[Question], str] | None = None
    decisions: list[Decision] = field(default_factory=list)

    def decide(self, question: Question, conclusion: str | None = None, reason: str = "") -> str:
        """Value of a decision: the user's setting, the conclusion from the files, or the answer to the question.

        Raises
        ------
        ConfigError
            If the setting is not allowed, or nobody answers the question.
        """
        if question.key in self.settings:
            value, why = _checked(self.settings[question.key], question), "stated with --set"
        elif conclusion is not None:
            value, why = conclusion, reason
        elif question.default is not None and self.accept_defaults:
            value, why = question.default, reason or "not known; no daily value depends on it"
        elif self.ask is not None and not self.accept_defaults:
            value, why = _checked(self.ask(question), question), "answered"
        else:
            raise ConfigError(_unanswered(question, is_optional=question.default is not None))
        self.note(question.key, value, why)
        return value

    def note(self, key: str, value: str, reason: str) -> None:
        """Add a decision to the list, unless it is there already."""
        decision = Decision(key, value, reason)
        if decision not in self.decisions:
            self.decisions.append(decision)

    def check_settings(self) -> None:
        """Refuse settings that decide nothing of this draft.

        Raises
        ------
        ConfigError
            If there is one: names it and the keys of this draft.
        """
        keys = list(dict.fromkeys(decision.key for decision in self.decisions))
        unknown = next((key for key in self.settings if key not in keys), None)
        if unknown is not None:
            raise ConfigError(f"--set {unknown} decides nothing about these files; allowed are {', '.join(keys)}")


def _checked(value: str, question: Question) -> str:
    """`value`, if it is an option; a different case of the letters is accepted where only one option fits."""
    if not question.options or value in question.options:
        return value
    same = [option for option in question.options if option.casefold() == value.strip().casefold()]
    if len(same) == 1:
        return same[0]
    raise ConfigError(f"{question.key} = {value!r} is not possible; allowed are {_option_list(question)}")


def _option_list(question: Question) -> str:
    """Options with their meanings, in one line."""
    texts = [f"{value} ({meaning})" if meaning else value for value, meaning in question.options.items()]
    rest = len(texts) - _MAX_OPTIONS
    return ", ".join(texts[:_MAX_OPTIONS]) + (f" and {rest} more" if rest > 0 else "")


def _unanswered(question: Question, *, is_optional: bool) -> str:
    """Sentence for a question that nobody answers."""
    options = f": {_option_list(question)}" if question.options else ""
    advice = f"answer with --set '{question.key}=VALUE'"
    return f"{question.text}{options}; {advice}" + (", or accept the proposals with --yes" if is_optional else "")
