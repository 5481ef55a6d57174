"""What a build leaves for those who do not have ofa-edge: `example/`, `golden/` and a README.md of its own.

`files/` holds the programs. They are copied as they are: what is of one build stands in `model.interface.json`, and for
C++ in a header that `values.py` writes, with every text escaped.
"""
