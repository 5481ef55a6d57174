"""What `import ofa_edge` offers beside the values of other rooms: a few functions over the workflows.

They take keyword arguments, paths and values, with the command line's defaults; they print nothing. Ctrl-C raises
KeyboardInterrupt, and what was finished before it is found again by the next call.
"""
