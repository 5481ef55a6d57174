// The network of this build: a library that TVM compiled, run on the CPU by the runtime in ../../runner.
#include "ofa_runtime.h"

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/tvm_ffi.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

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

}  // namespace

struct OfaRuntime {
  ffi::Module library, machine;  // in this order: the machine's code lives in the library
  ffi::Function main;
  ffi::Tensor input;
};

OfaRuntime* OfaOpen(const char* model, int threads, std::string* error) {
  try {
    setenv("TVM_NUM_THREADS", std::to_string(threads).c_str(), 1);  // read when the first parallel loop runs
    char path[PATH_MAX];  // with a folder: the loader looks elsewhere for a bare name
    const ffi::Module library = ffi::Module::LoadFromFile(realpath(model, path) ? path : model);
    const ffi::Module machine = library->GetFunction("vm_load_executable").value()().cast<ffi::Module>();
    constexpr int kCpu = kDLCPU, kPooled = 2;
    machine->GetFunction("vm_initialization").value()(kCpu, 0, kPooled);
    const int64_t shape[] = {1, kChannels, kHeight, kWidth};
    const ffi::Tensor input = ffi::Tensor::FromNDAlloc(AlignedMemory(), ffi::ShapeView(shape, 4),
                                                       DLDataType{kDLFloat, 32, 1}, DLDevice{kDLCPU, 0});
    return new OfaRuntime{library, machine, machine->GetFunction("main").value(), input};
  } catch (const std::exception& failure) {
    *error = failure.what();
    return nullptr;
  }
}

bool OfaRun(OfaRuntime* self, const void* input, size_t input_bytes, void* output, size_t output_bytes,
            std::string* error) {
  try {
    std::memcpy(self->input.data_ptr(), input, input_bytes);
    const ffi::Any answer = self->main(self->input);
    const auto several = answer.try_cast<ffi::Array<ffi::Any>>();
    const auto tensor = several ? (*several)[0].cast<ffi::Tensor>() : answer.cast<ffi::Tensor>();
    std::memcpy(output, tensor.data_ptr(), output_bytes);
    return true;
  } catch (const std::exception& failure) {
    *error = failure.what();
    return false;
  }
}

void OfaClose(OfaRuntime* runtime) { delete runtime; }
