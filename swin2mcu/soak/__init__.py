"""The soak test: many small trainings, each through the whole chain to a board; worst figures."""
