// Runs a library that TVM compiled for this CPU. Needs libtvm_runtime.so and libtvm_ffi.so beside it, nothing else.
// A library with CUDA kernels runs on this machine's GPU; for that libofa_edge_cuda.so must lie there too.
//
//   tvm_runner MODEL.so INPUTS OUTPUTS --shape 1,C,H,W [--threads T]                 one pass over all images
//   tvm_runner MODEL.so INPUTS OUTPUTS --shape 1,C,H,W [--threads T] --latency ...   one session of timed runs
//   tvm_runner MODEL.so INPUTS OUTPUTS --shape 1,C,H,W [--threads T] --count N       N marked runs
//   tvm_runner MODEL.so INPUTS OUTPUTS --shape 1,C,H,W [--threads T] --memory N      N runs, then the peak memory
//   tvm_runner MODEL.so INPUTS OUTPUTS --shape 1,C,H,W [--threads T] --profile N     N runs, each function timed
//
// A network of several inputs has a --shape for each, in order; "scalar" is the shape of one number.
// --cores 4,5 keeps the process on those cores.
// --device cpu|cuda says where; without it the library decides: cuda where it holds CUDA kernels.
//
// INPUTS is raw little-endian float32, [N, C, H, W] normalised, several inputs one behind the other; OUTPUTS becomes raw float32 [N, classes], or
// [1, classes] with --latency, --count, --memory and --profile, which use the first image. One line of JSON on stdout says what
// happened. Options and fields are those of runner_passes.py.
//
// Exit status: 0 ok, 1 the run failed, 2 wrong usage; the reason is on stderr.

#define OFA_PROGRAM
#include "old_glibc.h"
#include "sha256.h"
#include "watch.h"

#include <sys/resource.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/tvm_ffi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#ifndef TVM_VERSION
#error "compile with -DTVM_VERSION=\"...\", the version of the runtime that is linked"
#endif

namespace ffi = tvm::ffi;
using ofa::Clock;
using ofa::PeakMemory;
using ofa::Pin;
using ofa::Watch;

namespace {

constexpr int kMark = 0x0FAE0000;  // see _qemu/insncount.c
constexpr size_t kAlignment = 64;  // bytes; what TVM's generated code may assume of a tensor
constexpr int kPooledAllocator = 2;
constexpr const char* kCudaPlugin = "libofa_edge_cuda.so";
constexpr size_t kWindow = 10;  // runs over which a warm-up median is taken

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string model, inputs, outputs, device;
  std::vector<std::vector<int64_t>> shapes;
  long threads = 1;
  bool latency = false;
  long count = 0, memory = 0, profile = 0;
  std::vector<int> cores;
  long min_runs = 100;
  double min_seconds = 10.0;
  long warmup_runs = 10;
  double warmup_seconds = 0.5;
  double warmup_limit = 10.0;
  double warmup_tolerance = 0.02;
};

template <typename T>
T Number(const std::string& text, const std::string& what) {
  std::istringstream stream(text);
  T value;
  char rest;
  if (!(stream >> value) || stream >> rest || value < 0) {
    throw UsageError(what + " is not a number of zero or more: '" + text + "'");
  }
  return value;
}

std::vector<int64_t> Shape(const std::string& text) {
  std::vector<int64_t> shape;
  if (text == "scalar") return shape;
  std::istringstream stream(text);
  for (std::string axis; std::getline(stream, axis, ',');) {
    shape.push_back(Number<int64_t>(axis, "--shape"));
    if (shape.back() == 0) throw UsageError("--shape has a dimension of zero: " + text);
  }
  if (shape.empty()) throw UsageError("--shape is empty");
  return shape;
}

std::vector<int> Cores(const std::string& text) {
  std::vector<int> cores;
  std::istringstream stream(text);
  for (std::string core; std::getline(stream, core, ',');) cores.push_back(Number<int>(core, "--cores"));
  return cores;
}

Options Parse(int argc, char** argv) {
  Options o;
  std::vector<std::string*> places = {&o.model, &o.inputs, &o.outputs};
  std::map<std::string, std::function<void(const std::string&)>> named = {
      {"--shape", [&](const std::string& v) { o.shapes.push_back(Shape(v)); }},
      {"--device", [&](const std::string& v) { o.device = v; }},
      {"--threads", [&](const std::string& v) { o.threads = Number<long>(v, "--threads"); }},
      {"--count", [&](const std::string& v) { o.count = Number<long>(v, "--count"); }},
      {"--memory", [&](const std::string& v) { o.memory = Number<long>(v, "--memory"); }},
      {"--profile", [&](const std::string& v) { o.profile = Number<long>(v, "--profile"); }},
      {"--cores", [&](const std::string& v) { o.cores = Cores(v); }},
      {"--min-runs", [&](const std::string& v) { o.min_runs = Number<long>(v, "--min-runs"); }},
      {"--min-seconds", [&](const std::string& v) { o.min_seconds = Number<double>(v, "--min-seconds"); }},
      {"--warmup-runs", [&](const std::string& v) { o.warmup_runs = Number<long>(v, "--warmup-runs"); }},
      {"--warmup-seconds", [&](const std::string& v) { o.warmup_seconds = Number<double>(v, "--warmup-seconds"); }},
      {"--warmup-limit", [&](const std::string& v) { o.warmup_limit = Number<double>(v, "--warmup-limit"); }},
      {"--warmup-tolerance",
       [&](const std::string& v) { o.warmup_tolerance = Number<double>(v, "--warmup-tolerance"); }},
  };
  size_t place = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--latency") {
      o.latency = true;
    } else if (auto option = named.find(word); option != named.end()) {
      if (++i == argc) throw UsageError(word + " needs a value");
      option->second(argv[i]);
    } else if (word.rfind("--", 0) == 0) {
      throw UsageError("unknown option " + word);
    } else if (place == places.size()) {
      throw UsageError("one file too many: " + word);
    } else {
      *places[place++] = word;
    }
  }
  if (place < places.size()) throw UsageError("needed: MODEL.so INPUTS OUTPUTS --shape 1,C,H,W");
  if (o.device != "" && o.device != "cpu" && o.device != "cuda") throw UsageError("--device must be cpu or cuda");
  if (o.shapes.empty()) throw UsageError("--shape is missing");
  if (o.shapes.size() == 1 && (o.shapes[0].empty() || o.shapes[0][0] != 1)) {
    throw UsageError("--shape of the one input must begin with batch 1");
  }
  if (o.threads == 0) throw UsageError("--threads must be 1 or more");
  if (o.latency + (o.count > 0) + (o.memory > 0) + (o.profile > 0) > 1) {
    throw UsageError("--latency, --count, --memory and --profile exclude each other");
  }
  return o;
}

struct AlignedMemory {
  void AllocData(DLTensor* tensor) {
    const size_t bytes = (ffi::GetDataSize(*tensor) + kAlignment - 1) / kAlignment * kAlignment;
    tensor->data = std::aligned_alloc(kAlignment, bytes);
    if (tensor->data == nullptr) throw std::bad_alloc();
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

int64_t Nanoseconds(Clock::time_point since) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - since).count();
}

ffi::Function Global(const char* name) {
  auto function = ffi::Function::GetGlobal(name);
  if (!function.has_value()) throw std::runtime_error(std::string("TVM's runtime has no function ") + name);
  return function.value();
}

// Registers what drives a GPU. Returns whether it is there; the reason why not goes to `why`.
bool LoadCudaPlugin(std::string* why) {
  if (dlopen(kCudaPlugin, RTLD_NOW | RTLD_GLOBAL) != nullptr) return true;
  *why = dlerror();
  return false;
}

bool HoldsCuda(const ffi::Module& module) {
  if (std::strcmp(module->kind(), "cuda") == 0) return true;
  for (const ffi::Any& import : module->imports()) {
    if (HoldsCuda(import.cast<ffi::Module>())) return true;
  }
  return false;
}

// A compiled network with float32 inputs and float32 outputs.
class Model {
 public:
  explicit Model(const Options& options) {
    for (const auto& shape : options.shapes) {
      inputs_.push_back(ffi::Tensor::FromNDAlloc(AlignedMemory(), ffi::ShapeView(shape.data(), shape.size()),
                                                 DLDataType{kDLFloat, 32, 1}, DLDevice{kDLCPU, 0}));
    }
  }

  ~Model() {
    try {
      Close();
    } catch (const std::exception&) {  // the failure that ends the run came before this one
    }
  }

  void Load(const Options& options) {
    const auto start = Clock::now();
    std::string why;
    const bool plugin = options.device != "cpu" && LoadCudaPlugin(&why);
    if (options.device == "cuda" && !plugin) throw std::runtime_error("no GPU can be used: " + why);
    char path[PATH_MAX];  // with a folder: dlopen looks elsewhere for a bare name
    library_ = ffi::Module::LoadFromFile(realpath(options.model.c_str(), path) ? path : options.model);
    on_gpu_ = HoldsCuda(*library_);
    open_ = on_gpu_;
    if (options.device == "cuda" && !on_gpu_) throw std::runtime_error(options.model + " holds no CUDA kernels");
    vm_ = Get(*library_, "vm_load_executable")().cast<ffi::Module>();
    const ffi::Function start_vm = Get(*vm_, "vm_initialization");
    const int cpu = kDLCPU, gpu = kDLCUDA;
    if (on_gpu_) {
      start_vm(gpu, 0, kPooledAllocator, cpu, 0, kPooledAllocator);
      const ffi::Function allocate = Global("runtime.TVMTensorAllocWithScope");
      for (const auto& each : options.shapes) {
        const ffi::Shape shape(each.begin(), each.end());
        const DLDataType type = inputs_[0].dtype();
        device_inputs_.push_back(allocate(shape, type, DLDevice{kDLCUDA, 0}, nullptr).cast<ffi::Tensor>());
      }
      copy_ = Global("runtime.TVMTensorCopyFromTo");
      synchronise_ = Global("runtime.Device_StreamSync");
    } else {
      start_vm(cpu, 0, kPooledAllocator);
    }
    // Code tells no watcher of its functions; the instructions beside it do, which a library of an older build lacks.
    const auto watched = options.profile > 0 ? (*vm_)->GetFunction("main_watched") : std::nullopt;
    main_ = watched.has_value() ? watched.value() : Get(*vm_, "main");
    for (const ffi::Tensor& each : on_gpu_ ? device_inputs_ : inputs_) arguments_.push_back(each);
    load_ns_ = Nanoseconds(start);
  }

  // Gives a GPU back; a failure that no destructor could throw is thrown here.
  void Close() {
    if (!std::exchange(open_, false)) return;
    output_ = nullptr;
    main_ = ffi::Function(nullptr);
    arguments_.clear();
    device_inputs_.clear();
    vm_ = std::nullopt;
    Global("vm.builtin.memory_manager.clear")();
    library_ = std::nullopt;
    Global("ofa_edge.cuda.close")();
  }

  const char* device() const { return on_gpu_ ? "cuda" : "cpu"; }

  int64_t load_ns() const { return load_ns_; }

  // Numbers in all inputs.
  size_t input_size() const {
    size_t size = 0;
    for (const ffi::Tensor& each : inputs_) size += each.numel();
    return size;
  }

  // Sets the inputs to what stands one behind the other, where the network runs.
  void Set(const float* values) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      std::memcpy(inputs_[i].data_ptr(), values, inputs_[i].numel() * sizeof(float));
      values += inputs_[i].numel();
      if (on_gpu_) copy_(inputs_[i], device_inputs_[i]);
    }
  }

  // One inference. A GPU is done with it when this returns.
  void Invoke() {
    ffi::Any output;  // a new one: the callee takes nothing away
    main_.CallPacked(arguments_.data(), static_cast<int32_t>(arguments_.size()), &output);
    output_ = std::move(output);
    Synchronise();
  }

  // Calls `watcher` before and after each function that the network runs.
  void Instrument(const ffi::Function& watcher) { Get(*vm_, "set_instrument")(watcher); }

  // Waits until a GPU has done what it was given.
  void Synchronise() {
    if (on_gpu_) synchronise_(DLDevice{kDLCUDA, 0}, 0);
  }

  // Nanoseconds of one inference, without copying the input or the output.
  int64_t Timed() {
    const auto start = Clock::now();
    Invoke();
    return Nanoseconds(start);
  }

  // Logits of the last run; several outputs stand one behind the other.
  std::vector<float> Output() const {
    std::vector<float> values;
    if (const auto several = output_.try_cast<ffi::Array<ffi::Any>>()) {
      for (const ffi::Any& each : *several) Append(each.cast<ffi::Tensor>(), &values);
    } else {
      Append(output_.cast<ffi::Tensor>(), &values);
    }
    return values;
  }

 private:
  void Append(const ffi::Tensor& output, std::vector<float>* values) const {
    const DLDataType type = output.dtype();
    if (type.code != kDLFloat || type.bits != 32 || type.lanes != 1) {
      throw std::runtime_error("the model's output is not float32");
    }
    const size_t start = values->size();
    values->resize(start + output.numel());
    if (on_gpu_) {
      DLTensor host = *output.GetDLTensorPtr();
      host.data = values->data() + start;
      host.device = {kDLCPU, 0};
      copy_(output, &host);
      return;
    }
    const auto* data = static_cast<const float*>(output.data_ptr());
    std::copy(data, data + output.numel(), values->data() + start);
  }

  static ffi::Function Get(ffi::Module module, const char* name) {
    auto function = module->GetFunction(name);
    if (!function.has_value()) throw std::runtime_error(std::string("the model has no function ") + name);
    return function.value();
  }

  std::vector<ffi::Tensor> inputs_, device_inputs_;
  std::vector<ffi::AnyView> arguments_;  // of `main`: views of the tensors above
  bool on_gpu_ = false, open_ = false;
  ffi::Function copy_{nullptr}, synchronise_{nullptr};
  ffi::Optional<ffi::Module> library_, vm_;  // in this order: the machine's code lives in the library
  ffi::Function main_{nullptr};
  ffi::Any output_;
  int64_t load_ns_ = 0;
};

std::vector<float> ReadFloats(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("cannot read " + path);
  const auto bytes = static_cast<size_t>(file.tellg());
  if (bytes % sizeof(float) != 0) throw std::runtime_error(path + " is no whole number of float32");
  std::vector<float> values(bytes / sizeof(float));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(bytes))) {
    throw std::runtime_error("cannot read " + path);
  }
  return values;
}

void WriteFloats(const std::string& path, const std::vector<float>& values) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path + ": is the disk full?");
}

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

double Median(std::vector<int64_t>::const_iterator from, std::vector<int64_t>::const_iterator to) {
  std::vector<int64_t> sorted(from, to);
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  return (static_cast<double>(sorted[(n - 1) / 2]) + static_cast<double>(sorted[n / 2])) / 2;
}

// Tells a counting emulator where we are. On a device it is a query about a process that does not exist.
void Mark(long number) { getpriority(PRIO_PROCESS, static_cast<id_t>(kMark + number)); }

// One session: first inference, warm-up until the median is steady, then timed runs.
void Latency(Model& model, const Options& o, std::ostream& facts) {
  const int64_t first = model.Timed();
  std::vector<int64_t> warm;
  bool settled = false;
  for (const auto begin = Clock::now(); !settled && Seconds(begin) < o.warmup_limit;) {
    warm.push_back(model.Timed());
    const auto end = warm.cend();
    if (warm.size() < std::max<size_t>(2 * kWindow, o.warmup_runs) || Seconds(begin) < o.warmup_seconds) continue;
    const double before = Median(end - 2 * kWindow, end - kWindow);
    settled = std::abs(Median(end - kWindow, end) - before) <= o.warmup_tolerance * before;
  }
  std::vector<int64_t> samples;
  Watch watch;
  for (const auto begin = Clock::now();
       samples.size() < static_cast<size_t>(o.min_runs) || Seconds(begin) < o.min_seconds;) {
    watch.Look();
    samples.push_back(model.Timed());
  }
  facts << ", \"first_ns\": " << first << ", \"warmup_runs\": " << warm.size()
        << ", \"settled\": " << (settled ? "true" : "false") << ", \"latency_ns\": [";
  for (size_t i = 0; i < samples.size(); ++i) facts << (i ? ", " : "") << samples[i];
  facts << "], \"watch\": " << watch.ticks();
}

// Peak memory after some runs.
void Memory(Model& model, const Options& o, long before, std::ostream& facts) {
  for (long run = 0; run < o.memory; ++run) model.Invoke();
  facts << ", \"memory_before\": " << before << ", \"peak_memory\": " << PeakMemory();
}

struct Spent {
  std::string name;
  long calls = 0;
  int64_t ns = 0;
};

// Time of each function of the network, in the order of their first call. On a GPU each is waited for, so that the
// sum is more than an inference takes.
void Profile(Model& model, const Options& o, std::ostream& facts) {
  model.Invoke();  // the first run fills the memory pool
  std::vector<Spent> spent;
  std::map<std::string, size_t> places;
  std::vector<Clock::time_point> starts;
  // Arguments: the function, its name, whether this is before the call, what it returned, its arguments.
  model.Instrument(ffi::Function::FromPacked([&](const ffi::AnyView* args, int32_t, ffi::Any* result) {
    *result = 0;  // go on
    if (args[2].cast<bool>()) {
      starts.push_back(Clock::now());
      return;
    }
    model.Synchronise();
    const int64_t ns = Nanoseconds(starts.back());
    starts.pop_back();
    const std::string name = args[1].cast<ffi::String>();
    const auto [place, is_new] = places.emplace(name, spent.size());
    if (is_new) spent.push_back({name});
    spent[place->second].calls += 1;
    spent[place->second].ns += ns;
  }));
  for (long run = 0; run < o.profile; ++run) model.Invoke();
  model.Instrument(ffi::Function(nullptr));
  facts << ", \"runs\": " << o.profile << ", \"profile\": [";
  for (size_t i = 0; i < spent.size(); ++i) {
    facts << (i ? ", " : "") << "[\"" << spent[i].name << "\", " << spent[i].calls << ", " << spent[i].ns << "]";
  }
  facts << "]";
}

// Marked runs: even marks before, odd ones after; then as many empty pairs to take the marks' own cost off.
void Count(Model& model, const Options& o, std::ostream& facts) {
  model.Invoke();  // the first run fills the memory pool
  for (long number = 0; number < 2 * o.count; ++number) {
    Mark(2 * number);
    if (number < o.count) model.Invoke();
    Mark(2 * number + 1);
  }
  facts << ", \"counted\": " << o.count;
}

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  if (!Pin(options.cores)) throw UsageError("--cores: this machine does not have them all");
  setenv("TVM_NUM_THREADS", std::to_string(options.threads).c_str(), 1);  // read when the first parallel loop runs
  const std::vector<float> images = ReadFloats(options.inputs);
  const long before = PeakMemory();
  Model model(options);
  model.Load(options);
  if (images.empty() || images.size() % model.input_size() != 0) {
    throw std::runtime_error(options.inputs + " holds " + std::to_string(images.size()) + " values, not images of " +
                             std::to_string(model.input_size()));
  }
  std::ostringstream facts;
  facts << "{\"runtime\": \"TVM\", \"version\": \"" TVM_VERSION "\", \"device\": \"" << model.device()
        << "\", \"threads\": " << options.threads
        << ", \"load_ns\": " << model.load_ns();
  const bool all = !options.latency && options.count == 0 && options.memory == 0 && options.profile == 0;
  const size_t count = all ? images.size() / model.input_size() : 1;
  std::vector<float> logits;
  for (size_t i = 0; i < count; ++i) {
    model.Set(&images[i * model.input_size()]);
    if (options.latency) {
      Latency(model, options, facts);
    } else if (options.count > 0) {
      Count(model, options, facts);
    } else if (options.memory > 0) {
      Memory(model, options, before, facts);
    } else if (options.profile > 0) {
      Profile(model, options, facts);
    } else {
      model.Invoke();
    }
    const std::vector<float> row = model.Output();
    logits.insert(logits.end(), row.begin(), row.end());
  }
  model.Close();
  WriteFloats(options.outputs, logits);
  std::cout << facts.str() << ", \"outputs\": " << count << ", \"model_sha256\": \"" << ofa::Sha256Of(options.model)
            << "\"}" << std::endl;
  return std::cout ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const UsageError& error) {
    std::cerr << "tvm_runner: " << error.what() << std::endl;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "tvm_runner: " << error.what() << std::endl;
    return 1;
  }
}
