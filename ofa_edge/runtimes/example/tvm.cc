// The network of this build: a library that TVM compiled, run by the runtime in ../../runner; one with CUDA kernels runs on the
// GPU, which libofa_edge_cuda.so there drives.
#include "ofa_runtime.h"

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/tvm_ffi.h>

#include <dlfcn.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>

#include "ofa_interface.h"

namespace ffi = tvm::ffi;

namespace {

struct AlignedMemory {
  void AllocData(DLTensor* tensor) {
    constexpr size_t kAlignment = 64;  // bytes; what TVM's generated code may assume of a tensor
    const size_t bytes = (ffi::GetDataSize(*tensor) + kAlignment - 1) / kAlignment * kAlignment;
    tensor->data = std::aligned_alloc(kAlignment, bytes);
    if (tensor->data == nullptr) throw std::bad_alloc();
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

constexpr int kCpu = kDLCPU, kGpu = kDLCUDA, kPooled = 2;

ffi::Function Global(const char* name) {
  auto function = ffi::Function::GetGlobal(name);
  if (!function.has_value()) throw std::runtime_error(std::string("TVM's runtime has no function ") + name);
  return function.value();
}

bool HoldsCuda(const ffi::Module& module) {
  if (std::strcmp(module->kind(), "cuda") == 0) return true;
  for (const ffi::Any& import : module->imports()) {
    if (HoldsCuda(import.cast<ffi::Module>())) return true;
  }
  return false;
}

}  // namespace

struct OfaRuntime {
  std::optional<ffi::Module> library, machine;  // in this order: the machine's code lives in the library
  ffi::Function main{nullptr}, copy{nullptr};
  ffi::Tensor input, gpu_input;
  bool on_gpu = false;

  // A GPU is given back before the process ends: what lies on it first.
  ~OfaRuntime() {
    if (!on_gpu) return;
    try {
      main = ffi::Function(nullptr);
      gpu_input = ffi::Tensor();
      machine.reset();
      Global("vm.builtin.memory_manager.clear")();
      library.reset();
      Global("ofa_edge.cuda.close")();
    } catch (const std::exception&) {  // nothing is left to do with it
    }
  }
};

OfaRuntime* OfaOpen(const char* model, int threads, std::string* error) {
  try {
    setenv("TVM_NUM_THREADS", std::to_string(threads).c_str(), 1);  // read when the first parallel loop runs
    const bool driver = dlopen("libofa_edge_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr;  // only a build for a GPU has it
    const std::string why = driver ? "" : dlerror();
    auto self = std::make_unique<OfaRuntime>();
    char path[PATH_MAX];  // with a folder: the loader looks elsewhere for a bare name
    self->library = ffi::Module::LoadFromFile(realpath(model, path) ? path : model);
    self->on_gpu = HoldsCuda(*self->library);
    if (self->on_gpu && !driver) throw std::runtime_error("no GPU can be used: " + why);
    self->machine = (*self->library)->GetFunction("vm_load_executable").value()().cast<ffi::Module>();
    const ffi::Function start = (*self->machine)->GetFunction("vm_initialization").value();
    const int64_t shape[] = {1, kChannels, kHeight, kWidth};
    const ffi::ShapeView view(shape, 4);
    const DLDataType type{kDLFloat, 32, 1};
    self->input = ffi::Tensor::FromNDAlloc(AlignedMemory(), view, type, DLDevice{kDLCPU, 0});
    if (self->on_gpu) {
      start(kGpu, 0, kPooled, kCpu, 0, kPooled);
      self->copy = Global("runtime.TVMTensorCopyFromTo");
      const ffi::Function allocate = Global("runtime.TVMTensorAllocWithScope");
      self->gpu_input = allocate(ffi::Shape(shape, shape + 4), type, DLDevice{kDLCUDA, 0}, nullptr).cast<ffi::Tensor>();
    } else {
      start(kCpu, 0, kPooled);
    }
    self->main = (*self->machine)->GetFunction("main").value();
    return self.release();
  } catch (const std::exception& failure) {
    *error = failure.what();
    return nullptr;
  }
}

bool OfaRun(OfaRuntime* self, const void* input, size_t input_bytes, void* output, size_t output_bytes,
            std::string* error) {
  try {
    std::memcpy(self->input.data_ptr(), input, input_bytes);
    if (self->on_gpu) self->copy(self->input, self->gpu_input);
    const ffi::Any answer = self->main(self->on_gpu ? self->gpu_input : self->input);
    const auto several = answer.try_cast<ffi::Array<ffi::Any>>();
    const auto tensor = several ? (*several)[0].cast<ffi::Tensor>() : answer.cast<ffi::Tensor>();
    if (self->on_gpu) {  // the copy waits until the GPU is done
      DLTensor host = *tensor.GetDLTensorPtr();
      host.data = output;
      host.device = {kDLCPU, 0};
      self->copy(tensor, &host);
    } else {
      std::memcpy(output, tensor.data_ptr(), output_bytes);
    }
    return true;
  } catch (const std::exception& failure) {
    *error = failure.what();
    return false;
  }
}

void OfaClose(OfaRuntime* runtime) { delete runtime; }
