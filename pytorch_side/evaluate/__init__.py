"""Honest evaluation of any data set and any run: is the split clean, and what is a score worth?

    python -m pytorch_side.evaluate audit DATA        duplicates and near-duplicates between splits
    python -m pytorch_side.evaluate probe DATA        what the background alone gives away
    python -m pytorch_side.evaluate resplit DATA --out DIR    the same photos, split at random
    python -m pytorch_side.evaluate score RUN --split test    accuracy, calibration, confusion
    python -m pytorch_side.evaluate attention RUN --out FILE.png    where teacher and student look

Every data question is answered for the given split and for a random one beside it, because the
difference between the two is what a leaking split is worth.
"""
