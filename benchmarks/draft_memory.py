"""Memory that a draft of a large CSV file takes: ``forebay new`` reads every cell as text.

Run: ``python benchmarks/draft_memory.py [LINES]``; 4,600,000 lines by default, a file near the limit of 128 MiB with a
level and a rain gauge (simulated). The peak is that of a process which only drafts, without what the program takes by
itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:  # as a script, or as a module of the project
    from csv_memory import write_file
except ImportError:
    from benchmarks.csv_memory import write_file

DRAFT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from forebay.draft.answers import Answers
from forebay.draft.dam import draft_dam
if len(sys.argv) > 1:
    answers = Answers({"large:stamp": "instant", "level.unit": "m", "rain.unit": "mm"}, accept_defaults=True)
    draft_dam("large", sys.argv[1:], answers, folder=Path(), now=datetime(2050, 1, 1, tzinfo=UTC))
print(Path("/proc/self/status").read_text())
"""
"""A draft of the files of its arguments, without any an idle program; then the state of the process."""


def peak(*paths: str, folder: Path) -> int:
    """Largest memory (bytes) of a draft of these files."""
    command = [sys.executable, "-P", "-c", DRAFT, *paths]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    match = re.search(r"VmHWM:\s+(\d+) kB", process.stdout)
    assert match is not None
    return int(match[1]) * 1024


def main() -> None:
    """Print the size of the file and the memory of a draft."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 4_600_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_file(lines, folder / "large.csv")
        size, memory = (folder / "large.csv").stat().st_size, peak("large.csv", folder=folder) - peak(folder=folder)
    print(f"{lines:,} lines, {size / 2**20:.0f} MiB")
    print(f"draft: {memory / 2**20:,.0f} MiB, {memory / size:.1f} times the file")


if __name__ == "__main__":
    main()
