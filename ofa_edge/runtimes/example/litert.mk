# LiteRT: the library of the Python package. LITERT is the folder that it lies in.
PYTHON ?= python3
LITERT ?= $(shell $(PYTHON) -c 'import importlib.util as u; print(u.find_spec("ai_edge_litert").submodule_search_locations[0])')
RUNTIME_FLAGS =
RUNTIME_LIBRARIES = -L '$(LITERT)' -lLiteRt -Wl,-rpath,'$(LITERT)'
