"""Evaluate a data set and a run: is the split clean, and how accurate is the network?

    python -m pytorch_side.evaluate audit DATA        duplicates and near-duplicates between splits
    python -m pytorch_side.evaluate probe DATA        accuracy from the background alone
    python -m pytorch_side.evaluate resplit DATA --out DIR    the same photos, split at random
    python -m pytorch_side.evaluate score RUN --split test    accuracy, calibration, confusion
    python -m pytorch_side.evaluate attention RUN --out FILE.png    attention maps

The data audits compare the given split with a random one: the difference shows how much a leaking
split raises accuracy.
"""
