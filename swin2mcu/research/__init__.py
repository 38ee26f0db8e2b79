"""Tables of runs: trained where they are missing, and written down from the runs' own files.

table.py        the table's file, and what a run's folder tells
comparison.py   rows against their baseline, over seeds
outcomes.py     what became of runs: teachers, their knowledge, int8, the published models
"""
