# TVM: its headers come with the Python packages, its libraries lie in the build's own folder `runner`.
PYTHON ?= python3
HEADERS ?= $(shell $(PYTHON) -c 'import importlib.util as u; print(*("-isystem " + u.find_spec(n).submodule_search_locations[0] + "/include" for n in ("tvm", "tvm_ffi")))')
RUNTIME_FLAGS = $(HEADERS)
RUNTIME_LIBRARIES = -L ../../runner -Wl,--no-as-needed -ltvm_runtime -ltvm_ffi -ldl -Wl,-rpath,'$$ORIGIN/../../runner'
