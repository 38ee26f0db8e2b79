"""Tables of runs: trained where they are missing, and written down from the runs' own files.

table.py              the table's file, and what a run's folder tells
comparison.py         rows against their baseline, over seeds
distillation_gain.py  distilled students beside their matched controls
teachers.py           teachers, and their cached outputs
int8.py               float, PTQ and QAT of a run
zoo.py                the published models, and the runs they come from
data_audit.py         near-duplicates and what the background gives away
cost.py               what training costs
"""
