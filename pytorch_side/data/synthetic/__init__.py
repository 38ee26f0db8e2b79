"""A procedural generator of tomato-like leaf photos, so that nothing has to be downloaded.

    python -m pytorch_side.data.synthetic --out DIR

shape.py draws a leaf's outline and veins, symptoms.py makes it ill in one of ten ways, photo.py
puts it on a table, lights it and takes the picture; __main__.py writes a data set of them. The
pictures stand in for a real data set in the demo and in tests: a score on them says that the chain
works, nothing about plants.
"""
