"""Evaluate a data set and a run: is the split clean, and how accurate is the network?

    python -m pytorch_side.evaluate audit DATA        duplicates and near-duplicates between splits
    python -m pytorch_side.evaluate probe DATA        accuracy from the background alone
    python -m pytorch_side.evaluate resplit DATA --out DIR    the same photos, split at random
    python -m pytorch_side.evaluate score RUN --split test    accuracy, calibration, confusion
    python -m pytorch_side.evaluate attention RUN --out FILE.png    attention maps

`audit` and `probe` compare the given split with a random one. The difference shows how much leakage
between splits raises accuracy.
"""
