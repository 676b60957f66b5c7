"""The section of docs/article.md that shows each step in Python, in Elixir and with forebay.

`python -m tests.article_steps` writes it.
"""

from forebay.article.steps import read_steps
from tests.shared import PROJECT

PAGE = PROJECT / "docs" / "article.md"
HEADING = "## Each step in Python, in Elixir and with forebay\n"
INTRODUCTION = """
The code is ours. It follows the ideas of the article, with its libraries: pandas, Keras and Altair in Python; Explorer,
Nx, Axon and VegaLite in Elixir. The forebay calls forecast the next day from days with all readings. The tests run the
Python code and the forebay calls on the real readings. They check only the grammar of the Elixir code. Elixir that runs
a net is in [A net in your own application](embed.md).
"""


def section() -> str:
    """The section's Markdown."""
    parts = [HEADING, INTRODUCTION]
    for number, step in enumerate(read_steps(), start=1):
        parts.append(f"\n### {number}. {step.title}\n\n{wrap(step.note)}\n")
        for title, language, code in (
            ("Python", "python", step.python), ("Elixir", "elixir", step.elixir), ("forebay", "python", step.forebay)
        ):  # fmt: skip
            parts.append(f"\n{title}:\n\n```{language}\n{code}\n```\n")
    return "".join(parts) + "\n"


def wrap(text: str) -> str:
    """The text in lines of up to 120 characters."""
    from textwrap import fill

    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def page() -> str:
    """docs/article.md with this section."""
    before, _, rest = PAGE.read_text("utf-8").partition(HEADING)
    _, _, after = rest.partition("\n## ")
    return f"{before}{section()}## {after}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
