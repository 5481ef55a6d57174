# ONNX Runtime: the library of the Python package, under the name that programs look for. ONNXRUNTIME is its folder.
PYTHON ?= python3
ONNXRUNTIME ?= $(shell $(PYTHON) -c 'import importlib.util as u; print(u.find_spec("onnxruntime").submodule_search_locations[0] + "/capi")')
RUNTIME_FLAGS =
RUNTIME_LIBRARIES = ./libonnxruntime.so.1 -Wl,-rpath,'$$ORIGIN'

classify: libonnxruntime.so.1
libonnxruntime.so.1:
	cp '$(ONNXRUNTIME)'/libonnxruntime.so.* $@
