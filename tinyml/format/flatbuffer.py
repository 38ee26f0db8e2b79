"""Read an untrusted flatbuffer: every access is checked.

    table  := soffset:i32 (vtable = table - soffset) field…
    vtable := vtable_bytes:u16 table_bytes:u16 field_offset:u16…        (0 = field is absent)
    vector := count:u32 item…    string := vector of bytes    reference := u32, relative to itself

Nothing is copied: vectors are returned as views of the file's bytes. So a malicious file in which a
thousand tables share one vector needs no more memory than a normal one.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


class MalformedError(ValueError):
    """The bytes are not a valid flatbuffer. The message says what was being read."""


@dataclass(frozen=True)
class Table:
    """One table of the flatbuffer `data`; fields are addressed by their slot in the schema."""

    data: bytes
    position: int
    vtable: int
    vtable_bytes: int
    table_bytes: int

    def scalar(self, slot: int, layout: str, default: int) -> int:
        """The field's value; `layout` is its struct format ("<i", "<b", …)."""
        at = self._field(slot, struct.calcsize(layout))
        return default if at is None else int(_unpack(self.data, at, layout))

    def real(self, slot: int, default: float) -> float:
        """A float32 field's value. Raises MalformedError if it is not a finite number."""
        at = self._field(slot, 4)
        if at is None:
            return default
        _unpack(self.data, at, "<I")  # inside the file
        value = float(struct.unpack_from("<f", self.data, at)[0])
        if not math.isfinite(value):
            raise MalformedError("a number that is not finite")
        return value

    def table(self, slot: int) -> Table | None:
        at = self._reference(slot)
        return None if at is None else _table_at(self.data, at)

    def vector(self, slot: int, dtype: str, limit: int | None = None) -> npt.NDArray[Any] | None:
        """A vector of scalars as a read-only view. Raises MalformedError if longer than `limit`."""
        at = self._reference(slot)
        if at is None:
            return None
        count = _vector_count(self.data, at, np.dtype(dtype).itemsize)
        if limit is not None and count > limit:
            raise MalformedError(f"a vector of {count} elements where at most {limit} make sense")
        return np.frombuffer(self.data, dtype, count, at + 4)

    def tables(self, slot: int, limit: int) -> list[Table]:
        """A vector of tables; empty if the field is absent."""
        at = self._reference(slot)
        if at is None:
            return []
        count = _vector_count(self.data, at, 4)
        if count > limit:
            raise MalformedError(f"a vector of {count} tables where at most {limit} make sense")
        starts = range(at + 4, at + 4 + 4 * count, 4)
        return [_table_at(self.data, s + _unpack(self.data, s, "<I")) for s in starts]

    def text(self, slot: int, most: int = 1024) -> str:
        """The first `most` bytes: converters join the names of fused operators to long ones."""
        raw = self.vector(slot, "u1")
        return "" if raw is None else raw[:most].tobytes().decode("utf-8", errors="replace")

    def _field(self, slot: int, size: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self.vtable_bytes:
            return None
        offset = _unpack(self.data, self.vtable + entry, "<H")
        if offset == 0:
            return None
        if offset + size > self.table_bytes:
            raise MalformedError("a field outside its table")
        return self.position + offset

    def _reference(self, slot: int) -> int | None:
        at = self._field(slot, 4)
        return None if at is None else at + _unpack(self.data, at, "<I")


NO_TABLE = Table(b"", 0, 0, 0, 0)  # a table that is absent: every field has its default


def root(data: bytes) -> Table:
    """The root table. Raises MalformedError."""
    return _table_at(data, _unpack(data, 0, "<I"))


def _table_at(data: bytes, position: int) -> Table:
    vtable = position - _unpack(data, position, "<i")
    vtable_bytes = _unpack(data, vtable, "<H")
    table_bytes = _unpack(data, vtable + 2, "<H")
    if vtable_bytes < 4 or vtable + vtable_bytes > len(data) or position + table_bytes > len(data):
        raise MalformedError("a table outside the file")
    return Table(data, position, vtable, vtable_bytes, table_bytes)


def _vector_count(data: bytes, at: int, item_bytes: int) -> int:
    count = _unpack(data, at, "<I")
    if at + 4 + count * item_bytes > len(data):
        raise MalformedError(f"a vector of {count} elements outside the file")
    return count


def _unpack(data: bytes, at: int, layout: str) -> int:
    if at < 0 or at + struct.calcsize(layout) > len(data):
        raise MalformedError("an offset outside the file")
    return int(struct.unpack_from(layout, data, at)[0])
