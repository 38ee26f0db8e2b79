"""Replace parts of a document that a command writes, between <!-- NAME --> and <!-- end -->."""

from __future__ import annotations

from collections.abc import Sequence

from swin2mcu.common.cli import UserError

END = "<!-- end -->"


def replace_part(text: str, name: str, lines: Sequence[str]) -> str:
    """`text` with the lines between the two markers replaced. Raises UserError without markers."""
    begin = f"<!-- {name} -->\n"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise UserError(f"the document has no {begin.strip()} with an {END} behind it")
    return before + begin + "\n".join(lines) + "\n" + END + after
