// A libcuda.so.1 without a GPU: keeps account of memory, contexts, modules and launches as a driver does, refuses what a
// driver refuses, and runs launches with kernels that were compiled for this machine, where it is given some.
//
// OFA_EDGE_CUDA_LOG      a file that gets one line of JSON for each call, and at exit what was not given back
// OFA_EDGE_CUDA_KERNELS  a library of emulated kernels (see kernels.h); without it launches only are checked
// OFA_EDGE_CUDA_ARCH     compute capability of the device it plays, as "5.3"; a cubin for another is refused
// OFA_EDGE_CUDA_FAIL     "cuMemAlloc_v2:3": from its third call on this function fails with CUDA_ERROR_UNKNOWN
// OFA_EDGE_CUDA_REVERSED "1": the threads of a block take their turns in reverse order
#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace {

enum Status {
  kOk = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialised = 3,
  kNoDevice = 100,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinary = 209,
  kNotFound = 500,
  kIllegalAddress = 700,
  kLaunchFailed = 719,
  kUnknown = 999,
};
const std::map<int, const char*> kNames = {
    {kOk, "CUDA_SUCCESS"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
    {kNotInitialised, "CUDA_ERROR_NOT_INITIALIZED"},
    {kNoDevice, "CUDA_ERROR_NO_DEVICE"},
    {kInvalidImage, "CUDA_ERROR_INVALID_IMAGE"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
    {kNoBinary, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
    {kNotFound, "CUDA_ERROR_NOT_FOUND"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED"},
    {kUnknown, "CUDA_ERROR_UNKNOWN"},
};
constexpr uint64_t kMaxGrid[3] = {2147483647, 65535, 65535}, kMaxBlock[3] = {1024, 1024, 64};
constexpr unsigned kMaxThreads = 1024, kMaxShared = 49152;
constexpr uint64_t kPage = 4096, kAlignment = 256;  // bytes; what cuMemAlloc promises

struct Function {
  std::string name;
  unsigned parameters = 0;  // of the emulated kernel; 0 where there is none
};
struct Module {
  std::map<std::string, Function> functions;
  std::set<std::string> kernels;  // those in the cubin
};
using LaunchFn = const char* (*)(const char*, const unsigned*, const unsigned*, void**, int);
using CountFn = int (*)(const char*);

struct State {
  std::mutex lock;
  bool initialised = false;
  int contexts = 0;
  std::map<uint64_t, uint64_t> memory;  // address -> size
  std::set<Module*> modules;
  std::map<std::string, int> calls;
  std::FILE* log = nullptr;
  LaunchFn launch = nullptr;
  CountFn parameters = nullptr;

  State() {
    if (const char* path = std::getenv("OFA_EDGE_CUDA_LOG")) log = std::fopen(path, "w");
    if (const char* path = std::getenv("OFA_EDGE_CUDA_KERNELS")) {
      void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
      if (library == nullptr) {
        std::fprintf(stderr, "emulated CUDA: %s\n", dlerror());
        std::abort();
      }
      launch = reinterpret_cast<LaunchFn>(dlsym(library, "emulated_launch"));
      parameters = reinterpret_cast<CountFn>(dlsym(library, "emulated_parameters"));
    }
  }
  ~State() {
    if (log == nullptr) return;
    std::fprintf(log, "{\"call\": \"exit\", \"memory\": %zu, \"modules\": %zu, \"contexts\": %d}\n", memory.size(),
                 modules.size(), contexts);
    std::fclose(log);
  }
};

State& state() {
  static State it;
  return it;
}

// One call: counted, logged, and failed where the environment says so.
class Call {
 public:
  explicit Call(const char* name, bool needs_context = true) : guard_(state().lock), name_(name) {
    const int number = ++state().calls[name];
    if (const char* fail = std::getenv("OFA_EDGE_CUDA_FAIL")) {
      const std::string text = fail, which = text.substr(0, text.find(':'));
      if (which == name_ && number >= std::atoi(text.c_str() + which.size() + 1)) status_ = kUnknown;
    }
    if (status_ == kOk && !state().initialised && name_ != "cuInit") status_ = kNotInitialised;
    if (status_ == kOk && needs_context && state().contexts == 0) status_ = kInvalidContext;
  }
  bool refused() const { return status_ != kOk; }
  int End(int status = kOk, const std::string& facts = "") {
    if (status_ != kOk) status = status_;
    if (state().log != nullptr) {
      std::fprintf(state().log, "{\"call\": \"%s\", \"status\": \"%s\"%s}\n", name_.c_str(), kNames.at(status),
                   facts.c_str());
      std::fflush(state().log);
    }
    return status;
  }

 private:
  std::lock_guard<std::mutex> guard_;
  std::string name_;
  int status_ = kOk;
};

std::string Number(const char* key, uint64_t value) {
  return std::string(", \"") + key + "\": " + std::to_string(value);
}
std::string Triple(const char* key, const unsigned* v) {
  return std::string(", \"") + key + "\": [" + std::to_string(v[0]) + ", " + std::to_string(v[1]) + ", " +
         std::to_string(v[2]) + "]";
}

bool Inside(uint64_t address, uint64_t size) {
  auto after = state().memory.upper_bound(address);
  if (after == state().memory.begin()) return false;
  const auto& [start, length] = *--after;
  return address - start < length && size <= length - (address - start);
}

// Memory that ends, but for alignment, at a page that cannot be touched: a kernel that goes beyond it dies there. It
// is filled with NaN, so that nothing is zero by luck. Returns 0 where there is no more.
uint64_t Guarded(uint64_t bytes) {
  const uint64_t pages = (bytes + kPage - 1) / kPage * kPage;
  void* start = mmap(nullptr, pages + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return 0;
  std::memset(start, 0xFF, pages);
  const auto base = reinterpret_cast<uint64_t>(start);
  mprotect(reinterpret_cast<void*>(base + pages), kPage, PROT_NONE);
  return base + (pages - bytes) / kAlignment * kAlignment;
}

// The cubin's architecture and kernels, from its ELF header and section names; no more than a loader must read.
int ReadCubin(const unsigned char* image, Module* module) {
  if (std::memcmp(image, "\x7f"
                         "ELF\x02\x01\x01",
                  7) != 0 ||
      image[18] != 190)
    return kInvalidImage;
  uint32_t flags;
  std::memcpy(&flags, image + 48, 4);
  const unsigned arch = flags & 0xFF;
  if (const char* own = std::getenv("OFA_EDGE_CUDA_ARCH")) {
    const unsigned major = arch / 10, minor = arch % 10;
    if (std::to_string(major) + "." + std::to_string(minor) != own) return kNoBinary;
  }
  uint64_t table;
  uint16_t width, count, names;
  std::memcpy(&table, image + 40, 8);
  std::memcpy(&width, image + 58, 2);
  std::memcpy(&count, image + 60, 2);
  std::memcpy(&names, image + 62, 2);
  uint64_t text;
  std::memcpy(&text, image + table + names * width + 24, 8);
  for (unsigned i = 0; i < count; ++i) {
    uint32_t name;
    std::memcpy(&name, image + table + i * width, 4);
    const std::string section = reinterpret_cast<const char*>(image + text + name);
    if (section.rfind(".text.", 0) == 0) module->kernels.insert(section.substr(6));
  }
  return kOk;
}

}  // namespace

API int cuInit(unsigned) {
  Call call("cuInit", false);
  if (!call.refused()) state().initialised = true;
  return call.End();
}

API int cuDeviceGetCount(int* count) {
  Call call("cuDeviceGetCount", false);
  *count = 1;
  return call.End();
}

API int cuDeviceGet(int* device, int ordinal) {
  Call call("cuDeviceGet", false);
  *device = ordinal;
  return call.End(ordinal == 0 ? kOk : 101);
}

API int cuDeviceGetName(char* name, int length, int) {
  Call call("cuDeviceGetName", false);
  std::snprintf(name, static_cast<size_t>(length), "emulated CUDA device");
  return call.End();
}

API int cuDeviceGetAttribute(int* value, int attribute, int) {
  Call call("cuDeviceGetAttribute", false);
  const char* arch = std::getenv("OFA_EDGE_CUDA_ARCH");
  const std::string own = arch ? arch : "5.3";
  switch (attribute) {
    case 1: *value = kMaxThreads; break;
    case 8: *value = kMaxShared; break;
    case 10: *value = 32; break;
    case 16: *value = 1; break;
    case 75: *value = std::atoi(own.c_str()); break;
    case 76: *value = std::atoi(own.substr(own.find('.') + 1).c_str()); break;
    default: *value = 0;
  }
  return call.End();
}

API int cuDriverGetVersion(int* version) {
  Call call("cuDriverGetVersion", false);
  *version = 10020;
  return call.End();
}

API int cuDevicePrimaryCtxRetain(void** context, int device) {
  Call call("cuDevicePrimaryCtxRetain", false);
  if (!call.refused()) ++state().contexts;
  *context = &state();
  return call.End(device == 0 ? kOk : kInvalidValue);
}

API int cuDevicePrimaryCtxRelease(int) {
  Call call("cuDevicePrimaryCtxRelease");
  if (!call.refused()) --state().contexts;
  return call.End();
}

API int cuCtxSetCurrent(void*) {
  Call call("cuCtxSetCurrent");
  return call.End();
}

API int cuModuleLoadData(void** module, const void* image) {
  Call call("cuModuleLoadData");
  *module = nullptr;
  if (call.refused()) return call.End();
  auto* made = new Module();
  const int status = ReadCubin(static_cast<const unsigned char*>(image), made);
  if (status != kOk) {
    delete made;
    return call.End(status);
  }
  state().modules.insert(made);
  *module = made;
  return call.End(kOk, Number("kernels", made->kernels.size()));
}

API int cuModuleUnload(void* module) {
  Call call("cuModuleUnload");
  if (call.refused()) return call.End();
  if (state().modules.erase(static_cast<Module*>(module)) == 0) return call.End(kInvalidValue);
  delete static_cast<Module*>(module);
  return call.End();
}

API int cuModuleGetFunction(void** function, void* module, const char* name) {
  Call call("cuModuleGetFunction");
  *function = nullptr;
  if (call.refused()) return call.End();
  auto* in = static_cast<Module*>(module);
  if (state().modules.count(in) == 0) return call.End(kInvalidValue);
  if (in->kernels.count(name) == 0) return call.End(kNotFound);
  Function& found = in->functions[name];
  found.name = name;
  if (state().parameters != nullptr) {
    const int count = state().parameters(name);
    if (count < 0) return call.End(kNotFound);
    found.parameters = static_cast<unsigned>(count);
  }
  *function = &found;
  return call.End(kOk, std::string(", \"kernel\": \"") + name + "\"");
}

API int cuMemAlloc_v2(uint64_t* pointer, size_t bytes) {
  Call call("cuMemAlloc_v2");
  *pointer = 0;
  if (call.refused()) return call.End();
  if (bytes == 0) return call.End(kInvalidValue);
  *pointer = Guarded(bytes);
  if (*pointer == 0) return call.End(kOutOfMemory);
  state().memory[*pointer] = bytes;
  return call.End(kOk, Number("bytes", bytes));
}

API int cuMemFree_v2(uint64_t pointer) {
  Call call("cuMemFree_v2");
  if (call.refused()) return call.End();
  const auto found = state().memory.find(pointer);
  if (found == state().memory.end()) return call.End(kInvalidValue);
  const uint64_t mapped = (pointer % kPage + found->second + 2 * kPage - 1) / kPage * kPage;
  state().memory.erase(found);
  munmap(reinterpret_cast<void*>(pointer / kPage * kPage), mapped);
  return call.End();
}

API int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
  Call call("cuMemcpyHtoD_v2");
  if (call.refused()) return call.End();
  if (!Inside(to, bytes)) return call.End(kInvalidValue);
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return call.End(kOk, Number("bytes", bytes));
}

API int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) {
  Call call("cuMemcpyDtoH_v2");
  if (call.refused()) return call.End();
  if (!Inside(from, bytes)) return call.End(kInvalidValue);
  std::memcpy(to, reinterpret_cast<void*>(from), bytes);
  return call.End(kOk, Number("bytes", bytes));
}

API int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  Call call("cuMemcpyDtoD_v2");
  if (call.refused()) return call.End();
  if (!Inside(to, bytes) || !Inside(from, bytes)) return call.End(kInvalidValue);
  std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
  return call.End(kOk, Number("bytes", bytes));
}

API int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared, void*, void** parameters, void**) {
  Call call("cuLaunchKernel");
  if (call.refused()) return call.End();
  const auto* kernel = static_cast<const Function*>(function);
  const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
  const std::string facts = ", \"kernel\": \"" + kernel->name + "\"" + Triple("grid", grid) + Triple("block", block) +
                            Number("shared", shared) + Number("parameters", kernel->parameters);
  for (int i = 0; i < 3; ++i) {
    if (grid[i] == 0 || grid[i] > kMaxGrid[i] || block[i] == 0 || block[i] > kMaxBlock[i])
      return call.End(kInvalidValue, facts);
  }
  if (static_cast<uint64_t>(bx) * by * bz > kMaxThreads || shared > kMaxShared) return call.End(kInvalidValue, facts);
  for (unsigned i = 0; i < kernel->parameters; ++i) {  // all are pointers, see kernels.h
    if (!Inside(*static_cast<uint64_t*>(parameters[i]), 1)) return call.End(kIllegalAddress, facts);
  }
  if (state().launch != nullptr) {
    const char* backwards = std::getenv("OFA_EDGE_CUDA_REVERSED");
    const char* fault = state().launch(kernel->name.c_str(), grid, block, parameters, backwards && *backwards == '1');
    if (fault != nullptr && *fault != 0) {
      std::fprintf(stderr, "emulated CUDA: %s\n", fault);
      return call.End(kLaunchFailed, facts);
    }
  }
  return call.End(kOk, facts);
}

API int cuStreamSynchronize(void*) {
  Call call("cuStreamSynchronize");
  return call.End();
}

API int cuGetErrorName(int status, const char** name) {
  auto found = kNames.find(status);
  *name = found == kNames.end() ? nullptr : found->second;
  return found == kNames.end() ? kInvalidValue : kOk;
}
