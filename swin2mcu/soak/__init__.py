"""The soak: many small trainings, each through the whole chain to a board; the worst figures."""
