"""The line to a board: bytes, frames, messages, and what is done when they are lost."""
