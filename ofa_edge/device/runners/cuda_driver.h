// The NVIDIA driver as `cuda_plugin.cc` uses it: its functions, found at the first use, and the one device.
#pragma once
#include "old_glibc.h"

#include <tvm/ffi/error.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace ffi = tvm::ffi;

namespace {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;

constexpr CUresult kSuccess = 0;
constexpr CUresult kDeinitialised = 4;  // the process ends: there is nothing left to give back

// The driver's functions that are used, all of them in CUDA 10.2.
struct Driver {
  CUresult (*init)(unsigned);
  CUresult (*device_get)(CUdevice*, int);
  CUresult (*device_get_count)(int*);
  CUresult (*device_get_attribute)(int*, int, CUdevice);
  CUresult (*context_retain)(void**, CUdevice);
  CUresult (*context_release)(CUdevice);
  CUresult (*context_set)(void*);
  CUresult (*module_load)(void**, const void*);
  CUresult (*module_unload)(void*);
  CUresult (*module_get_function)(void**, void*, const char*);
  CUresult (*memory_alloc)(CUdeviceptr*, size_t);
  CUresult (*memory_free)(CUdeviceptr);
  CUresult (*copy_to_device)(CUdeviceptr, const void*, size_t);
  CUresult (*copy_to_host)(void*, CUdeviceptr, size_t);
  CUresult (*copy_on_device)(CUdeviceptr, CUdeviceptr, size_t);
  CUresult (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**,
                     void**);
  CUresult (*synchronise)(void*);
  CUresult (*error_name)(CUresult, const char**);

  Driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      TVM_FFI_THROW(RuntimeError) << "no NVIDIA driver: " << dlerror();
    }
    Find(library, "cuInit", &init);
    Find(library, "cuDeviceGet", &device_get);
    Find(library, "cuDeviceGetCount", &device_get_count);
    Find(library, "cuDeviceGetAttribute", &device_get_attribute);
    Find(library, "cuDevicePrimaryCtxRetain", &context_retain);
    Find(library, "cuDevicePrimaryCtxRelease", &context_release);
    Find(library, "cuCtxSetCurrent", &context_set);
    Find(library, "cuModuleLoadData", &module_load);
    Find(library, "cuModuleUnload", &module_unload);
    Find(library, "cuModuleGetFunction", &module_get_function);
    Find(library, "cuMemAlloc_v2", &memory_alloc);
    Find(library, "cuMemFree_v2", &memory_free);
    Find(library, "cuMemcpyHtoD_v2", &copy_to_device);
    Find(library, "cuMemcpyDtoH_v2", &copy_to_host);
    Find(library, "cuMemcpyDtoD_v2", &copy_on_device);
    Find(library, "cuLaunchKernel", &launch);
    Find(library, "cuStreamSynchronize", &synchronise);
    Find(library, "cuGetErrorName", &error_name);
  }

  template <typename F>
  static void Find(void* library, const char* name, F* function) {
    *function = reinterpret_cast<F>(dlsym(library, name));
    if (*function == nullptr) TVM_FFI_THROW(RuntimeError) << "the NVIDIA driver has no " << name << ": it is too old";
  }

  std::string Explain(CUresult status, const std::string& what) const {
    const char* name = nullptr;
    if (error_name(status, &name) != kSuccess || name == nullptr) name = "unknown error";
    return what + " failed: " + name + " (" + std::to_string(status) + ")";
  }
};

// The device: opened at its first use, one context for the whole process.
class Device {
 public:
  static Device& Get() {
    static auto* device = new Device();  // lives to the end: TVM's pools are freed when static objects are gone
    return *device;
  }

  // The driver, with the context current on this thread.
  const Driver& Use() {
    std::lock_guard<std::mutex> guard(lock_);
    if (driver_ == nullptr) driver_ = std::make_unique<Driver>();
    if (context_ == nullptr) Open();
    Check(driver_->context_set(context_), "cuCtxSetCurrent");
    return *driver_;
  }

  void Check(CUresult status, const std::string& what) const {
    if (status != kSuccess) TVM_FFI_THROW(RuntimeError) << driver_->Explain(status, what);
  }

  // For destructors and for giving back: remembers the first failure, see Close.
  void Note(CUresult status, const char* what) {
    if (status != kSuccess && status != kDeinitialised && deferred_.empty()) deferred_ = driver_->Explain(status, what);
  }

  bool Exists() {
    try {
      Use();
      return true;
    } catch (const ffi::Error&) {
      return false;
    }
  }

  int Attribute(int number) {
    int value = 0;
    Check(Use().device_get_attribute(&value, number, device_), "cuDeviceGetAttribute");
    return value;
  }

  void Close() {
    std::lock_guard<std::mutex> guard(lock_);
    if (context_ != nullptr) {
      context_ = nullptr;
      Note(driver_->context_release(device_), "cuDevicePrimaryCtxRelease");
    }
    const std::string failed = std::exchange(deferred_, "");
    if (!failed.empty()) TVM_FFI_THROW(RuntimeError) << failed;
  }

 private:
  void Open() {
    Check(driver_->init(0), "cuInit");
    int count = 0;
    Check(driver_->device_get_count(&count), "cuDeviceGetCount");
    if (count == 0) TVM_FFI_THROW(RuntimeError) << "the NVIDIA driver finds no GPU";
    Check(driver_->device_get(&device_, 0), "cuDeviceGet");
    void* context = nullptr;
    Check(driver_->context_retain(&context, device_), "cuDevicePrimaryCtxRetain");
    context_ = context;
  }

  std::mutex lock_;
  std::unique_ptr<Driver> driver_;
  CUdevice device_ = 0;
  void* context_ = nullptr;
  std::string deferred_;
};

}  // namespace
