"""`python -m ofa_edge` is `ofa-edge`."""

from ofa_edge.cli import main

if __name__ == "__main__":
    main()
