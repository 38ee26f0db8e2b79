"""A procedural generator of tomato-like leaf photos, so that nothing has to be downloaded.

    python -m pytorch_side.data.synthetic --out DIR

shape.py draws a leaf's outline and veins, symptoms.py adds the symptoms of one of ten classes,
photo.py puts the leaf on a table, adds light and simulates a camera; __main__.py writes a data set
of such photos. They replace a real data set in the demo and in tests: a score on them shows that
the chain works, but says nothing about real plants.
"""
