// Lets TVM's runtime drive an NVIDIA GPU through the driver alone: libcuda.so.1 of CUDA 10.2 or later, opened when the
// GPU is first used. TVM's own CUDA runtime needs CUDA 13's libraries and calls that a Jetson Nano's driver lacks.
//
// Loading this library registers "device_api.cuda" and "ffi.Module.load_from_bytes.cuda". One device, its default
// stream. "ofa_edge.cuda.close" gives modules and context back and reports what failed where nothing may be thrown.
#include "cuda_driver.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/device_api.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr size_t kDeviceAlignment = 256;  // bytes; what cuMemAlloc promises

class CudaDeviceApi final : public tvm::runtime::DeviceAPI {
 public:
  static CudaDeviceApi* Global() {
    static auto* api = new CudaDeviceApi();
    return api;
  }

  void SetDevice(DLDevice device) final {
    if (device.device_id != 0) TVM_FFI_THROW(RuntimeError) << "only the first GPU is used, not " << device.device_id;
    Device::Get().Use();
  }

  void GetAttr(DLDevice device, tvm::runtime::DeviceAttrKind kind, ffi::Any* value) final {
    constexpr int kMaxThreads = 1, kSharedMemory = 8, kWarp = 10, kProcessors = 16, kMajor = 75, kMinor = 76;
    Device& gpu = Device::Get();
    switch (kind) {
      case tvm::runtime::kExist: *value = device.device_id == 0 && gpu.Exists(); break;
      case tvm::runtime::kMaxThreadsPerBlock: *value = gpu.Attribute(kMaxThreads); break;
      case tvm::runtime::kMaxSharedMemoryPerBlock: *value = gpu.Attribute(kSharedMemory); break;
      case tvm::runtime::kWarpSize: *value = gpu.Attribute(kWarp); break;
      case tvm::runtime::kMultiProcessorCount: *value = gpu.Attribute(kProcessors); break;
      case tvm::runtime::kComputeVersion:
        *value = ffi::String(std::to_string(gpu.Attribute(kMajor)) + "." + std::to_string(gpu.Attribute(kMinor)));
        break;
      default: break;  // not known: the value stays empty
    }
  }

  void* AllocDataSpace(DLDevice, size_t bytes, size_t alignment, DLDataType) final {
    if (kDeviceAlignment % alignment != 0) TVM_FFI_THROW(RuntimeError) << "no alignment of " << alignment << " bytes";
    CUdeviceptr memory = 0;
    const Driver& driver = Device::Get().Use();
    const CUresult status = driver.memory_alloc(&memory, bytes == 0 ? 1 : bytes);
    Device::Get().Check(status, "cuMemAlloc of " + std::to_string(bytes) + " bytes");
    return reinterpret_cast<void*>(memory);
  }

  void FreeDataSpace(DLDevice, void* memory) final {
    try {
      Device::Get().Note(Device::Get().Use().memory_free(reinterpret_cast<CUdeviceptr>(memory)), "cuMemFree");
    } catch (const ffi::Error&) {  // the context is gone, and its memory with it
    }
  }

  void StreamSync(DLDevice, TVMStreamHandle stream) final {
    Device::Get().Check(Device::Get().Use().synchronise(stream), "cuStreamSynchronize");
  }

 protected:
  void CopyDataFromTo(const void* from, size_t from_offset, void* to, size_t to_offset, size_t bytes, DLDevice source,
                      DLDevice target, DLDataType, TVMStreamHandle) final {
    if (bytes == 0) return;
    Device& gpu = Device::Get();
    const Driver& driver = gpu.Use();
    const char* start = static_cast<const char*>(from) + from_offset;
    char* end = static_cast<char*>(to) + to_offset;
    const auto device_start = reinterpret_cast<CUdeviceptr>(start), device_end = reinterpret_cast<CUdeviceptr>(end);
    if (source.device_type == kDLCPU && target.device_type == kDLCUDA) {
      gpu.Check(driver.copy_to_device(device_end, start, bytes), "cuMemcpyHtoD");
    } else if (source.device_type == kDLCUDA && target.device_type == kDLCPU) {
      gpu.Check(driver.copy_to_host(end, device_start, bytes), "cuMemcpyDtoH");
    } else if (source.device_type == kDLCUDA && target.device_type == kDLCUDA) {
      gpu.Check(driver.copy_on_device(device_end, device_start, bytes), "cuMemcpyDtoD");
    } else {
      TVM_FFI_THROW(RuntimeError) << "no copy between devices of types " << source.device_type << " and "
                                  << target.device_type;
    }
  }
};

// Reads what TVM's CUDA module writes: numbers of fixed width, little endian; counts and lengths in 8 bytes.
class Reader {
 public:
  explicit Reader(const ffi::Bytes& bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  template <typename T>
  T Value() {
    T value;
    std::memcpy(&value, Take(sizeof(T)), sizeof(T));
    return value;
  }
  // A count of items of at least `least` bytes each.
  uint64_t Count(size_t least) {
    const auto count = Value<uint64_t>();
    if (count > static_cast<uint64_t>(end_ - at_) / least) Damaged();
    return count;
  }
  std::string Text() {
    const uint64_t length = Count(1);
    return std::string(Take(length), length);
  }
  void End() const {
    if (at_ != end_) Damaged();
  }
  [[noreturn]] static void Damaged() {
    TVM_FFI_THROW(RuntimeError) << "the library's CUDA module is damaged, or from another version of TVM";
    throw;  // not reached
  }

 private:
  const char* Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) Damaged();
    return std::exchange(at_, at_ + size);
  }

  const char *at_, *end_;
};

// How to launch one kernel: the types of its parameters, and which launch dimension each further argument is.
struct Signature {
  std::vector<DLDataType> types;
  std::vector<int> dimensions;  // 0-2: grid, 3-5: block, kShared: bytes of dynamic shared memory
  void* function = nullptr;     // the driver's, from the first launch on

  static constexpr int kShared = 6;

  static Signature Read(Reader& reader, const std::string& name) {
    Signature it;
    if (reader.Text() != name) Reader::Damaged();
    for (uint64_t n = reader.Count(4); n > 0; --n) {
      DLDataType type;
      type.code = reader.Value<uint8_t>();
      type.bits = reader.Value<uint8_t>();
      type.lanes = reader.Value<uint16_t>();
      if (!Known(type)) TVM_FFI_THROW(RuntimeError) << "kernel " << name << " has a parameter of an unknown type";
      it.types.push_back(type);
    }
    for (uint64_t n = reader.Count(8); n > 0; --n) it.dimensions.push_back(Dimension(reader.Text(), name));
    for (uint64_t n = reader.Count(4); n > 0; --n) {
      if (reader.Value<int32_t>() != 0) TVM_FFI_THROW(RuntimeError) << "kernel " << name << " takes a tensor map";
    }
    return it;
  }

 private:
  static bool Known(DLDataType type) {
    if (type.lanes != 1) return false;
    if (type.code == kDLOpaqueHandle) return true;
    return (type.code == kDLInt || type.code == kDLUInt || type.code == kDLFloat) &&
           (type.bits == 64 || type.bits == 32);
  }
  static int Dimension(const std::string& tag, const std::string& name) {
    static const char* const kTags[] = {"blockIdx.x",  "blockIdx.y",  "blockIdx.z", "threadIdx.x",
                                        "threadIdx.y", "threadIdx.z", "tirx.use_dyn_shared_memory"};
    for (int i = 0; i <= kShared; ++i) {
      if (tag == kTags[i]) return i;
    }
    TVM_FFI_THROW(RuntimeError) << "kernel " << name << " needs " << tag << ", which CUDA 10 cannot launch";
    throw;  // not reached
  }
};

class CudaModule final : public ffi::ModuleObj {
 public:
  explicit CudaModule(const ffi::Bytes& bytes) {
    Reader reader(bytes);
    const std::string format = reader.Text();
    if (format != "cubin") TVM_FFI_THROW(RuntimeError) << "the library holds CUDA code as " << format << ", not a cubin";
    for (uint64_t n = reader.Count(8); n > 0; --n) {
      const std::string name = reader.Text();
      signatures_.emplace(name, Signature::Read(reader, name));
    }
    code_ = reader.Text();
    reader.End();
  }

  ~CudaModule() {
    if (module_ == nullptr) return;
    try {
      Device::Get().Note(Device::Get().Use().module_unload(module_), "cuModuleUnload");
    } catch (const ffi::Error&) {  // the context is gone, and the module with it
    }
  }

  const char* kind() const final { return "cuda"; }
  int GetPropertyMask() const final { return ffi::Module::kRunnable; }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    const auto found = signatures_.find(std::string(name));
    if (found == signatures_.end()) return std::nullopt;
    const auto self = ffi::GetRef<ffi::Module>(this);
    auto* kernel = &*found;  // stays where it is as long as `self` keeps the module
    return ffi::Function::FromPacked([this, self, kernel](ffi::PackedArgs args, ffi::Any*) {
      if (kernel->second.function == nullptr) kernel->second.function = Load(kernel->first);
      Launch(kernel->second.function, kernel->first, kernel->second, args);
    });
  }

 private:
  void* Load(const std::string& name) {
    std::lock_guard<std::mutex> guard(lock_);
    Device& gpu = Device::Get();
    const Driver& driver = gpu.Use();
    if (module_ == nullptr) {
      void* module = nullptr;
      gpu.Check(driver.module_load(&module, code_.data()), "cuModuleLoadData of the library's kernels");
      module_ = module;
    }
    void* function = nullptr;
    gpu.Check(driver.module_get_function(&function, module_, name.c_str()), "cuModuleGetFunction of " + name);
    return function;
  }

  static void Launch(void* function, const std::string& name, const Signature& signature, ffi::PackedArgs args) {
    const size_t count = signature.types.size();
    if (args.size() != static_cast<int>(count + signature.dimensions.size())) {
      TVM_FFI_THROW(RuntimeError) << "kernel " << name << " was called with " << args.size() << " arguments";
    }
    std::vector<uint64_t> values(count);
    std::vector<void*> places(count);
    for (size_t i = 0; i < count; ++i) {
      Store(&values[i], signature.types[i], args[static_cast<int>(i)]);
      places[i] = &values[i];
    }
    unsigned size[7] = {1, 1, 1, 1, 1, 1, 0};
    for (size_t i = 0; i < signature.dimensions.size(); ++i) {
      const auto value = args[static_cast<int>(count + i)].cast<int64_t>();
      if (value < 0 || value > INT32_MAX) TVM_FFI_THROW(RuntimeError) << "kernel " << name << ": launch of " << value;
      size[signature.dimensions[i]] = static_cast<unsigned>(value);
    }
    Device& gpu = Device::Get();
    const CUresult status = gpu.Use().launch(function, size[0], size[1], size[2], size[3], size[4], size[5], size[6],
                                             nullptr, places.data(), nullptr);
    if (status == kSuccess) return;
    std::ostringstream what;
    what << "cuLaunchKernel of " << name << ", grid " << size[0] << "x" << size[1] << "x" << size[2] << ", block "
         << size[3] << "x" << size[4] << "x" << size[5] << ",";
    gpu.Check(status, what.str());
  }

  // A parameter as the kernel reads it.
  static void Store(uint64_t* place, DLDataType type, ffi::AnyView value) {
    if (type.code == kDLOpaqueHandle) {
      *place = reinterpret_cast<uint64_t>(value.cast<void*>());
    } else if (type.code == kDLFloat && type.bits == 32) {
      const auto narrow = static_cast<float>(value.cast<double>());
      std::memcpy(place, &narrow, sizeof(narrow));
    } else if (type.code == kDLFloat) {
      const auto wide = value.cast<double>();
      std::memcpy(place, &wide, sizeof(wide));
    } else {
      *place = static_cast<uint64_t>(value.cast<int64_t>());  // little endian: the low half is the 32-bit value
    }
  }

  std::map<std::string, Signature> signatures_;
  std::string code_;
  std::mutex lock_;
  void* module_ = nullptr;
};

ffi::Module LoadModule(const ffi::Bytes& bytes) { return ffi::Module(ffi::make_object<CudaModule>(bytes)); }

TVM_FFI_STATIC_INIT_BLOCK() {
  ffi::reflection::GlobalDef()
      .def_packed("device_api.cuda",
                  [](ffi::PackedArgs, ffi::Any* value) {
                    tvm::runtime::DeviceAPI* api = CudaDeviceApi::Global();
                    *value = static_cast<void*>(api);
                  })
      .def("ffi.Module.load_from_bytes.cuda", LoadModule)
      .def("ofa_edge.cuda.close", [] { Device::Get().Close(); });
}

}  // namespace
