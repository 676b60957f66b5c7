"""An independent check of exported forecast records, after docs/record.md; it imports nothing of forebay.

Run: ``python -m tests.record_oracle records.jsonl [HEAD]``.
"""

import hashlib
import json
import sys
from pathlib import Path

ZEROS = "0" * 64


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def problems(content: bytes, head: str | None = None) -> list[str]:
    """What is wrong with the lines of `records.jsonl`; empty if nothing is."""
    wrong, previous, hashes, newest = [], ZEROS, [], ""
    lines = content.split(b"\n")
    if lines.pop() != b"":
        wrong.append("the last line has no end")
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line.decode("ascii"))
            id_, dam, sequence = record["id"], record["dam"], record["sequence"]
            backwards = record["recorded_at"] < newest and record["clock_step_s"] is None
            dam_hash = hashlib.sha256(canonical(record["dam_file"]).encode()).hexdigest()
            good = canonical(record).encode() == line and dam_hash == record["dam_file_hash"]
            links = record["previous"] == previous and sequence == number and id_ == f"{dam}-{number}"
            newest = record["recorded_at"]
        except (ValueError, KeyError, TypeError):
            wrong.append(f"line {number} is no record")
            continue
        wrong += [f"line {number}: {text}" for text, bad in
                  (("form", not good), ("link", not links), ("time", backwards)) if bad]  # fmt: skip
        previous = hashlib.sha256(line).hexdigest()
        hashes.append(previous)
    if head is not None and head not in hashes:
        wrong.append("the head is missing")
    return wrong


if __name__ == "__main__":
    texts = problems(Path(sys.argv[1]).read_bytes(), *sys.argv[2:3])
    print("\n".join(texts) or "no problem")
    sys.exit(1 if texts else 0)
