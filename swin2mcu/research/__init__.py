"""Experiments: train missing runs, and write reports from the files of the runs.

table.py              an experiment's file, and the files of its runs
pages.py              RESULTS.md and the pages it links to
comparison.py         rows against their baseline, over seeds
distillation_gain.py  distilled students beside their matched controls
distillation_map.py   the gains of all experiments as a table and a picture
teachers.py           teachers, and their cached outputs
int8.py               float, PTQ and QAT of a run
zoo.py                the published models, and the runs they come from
few_labels.py         what a teacher adds to few labels and many photos without one
few_labels_page.py    its page
small_sets.py         what `swin2mcu train` reaches with few photos
demo_spread.py        the spread of the demo's results
data_audit.py         near-duplicates, backgrounds, mistakes, recall
cost.py               what training costs
"""
