// Times compiled functions and models that take turns in one process: what `--tune` compares schedules with.
//
//   tvm_turns TURNS --rounds N [--threads T] [--sample-us U] [--limit-s S]
//
// TURNS is a text file, one turn a line: LIBRARY SYMBOL ARGUMENT..., an argument being TYPE:AXIS,AXIS,... as in
// float32:1,56,56,24. SYMBOL "vm:NAME" is a function of the virtual machine that the library holds, such as vm:main;
// any other is a compiled function, which writes its last argument. Every turn has tensors of its own.
//
// In each round every turn has one call to warm up and then as many timed calls as fill a sample; every second round
// goes backwards, so that none always follows the same one. One line of JSON on stdout: nanoseconds of one call, a list
// for each round. With one thread they are CPU time of the thread, which other programs disturb least; with more, wall
// time. After S seconds no further round begins. "models" is the SHA-256 of each turn's library. Exit status: 0 ok, 1 a call failed, 2 wrong usage.

#define OFA_PROGRAM
#include "old_glibc.h"
#include "sha256.h"

#include <time.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/tvm_ffi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace ffi = tvm::ffi;

namespace {

constexpr size_t kAlignment = 64;  // bytes; what TVM's generated code may assume of a tensor
constexpr int kPooledAllocator = 2;
constexpr long kMostCalls = 10000;
const std::string kMachine = "vm:";

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string turns;
  long rounds = 0;
  long threads = 1;
  double sample_us = 100;
  double limit_s = 1e9;
};

template <typename T>
T Number(const std::string& text, const std::string& what) {
  std::istringstream stream(text);
  T value;
  char rest;
  if (!(stream >> value) || stream >> rest || value <= 0) {
    throw UsageError(what + " is not a number above zero: '" + text + "'");
  }
  return value;
}

Options Parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.rfind("--", 0) != 0) {
      if (!o.turns.empty()) throw UsageError("one file too many: " + word);
      o.turns = word;
      continue;
    }
    if (++i == argc) throw UsageError(word + " needs a value");
    if (word == "--rounds") {
      o.rounds = Number<long>(argv[i], word);
    } else if (word == "--threads") {
      o.threads = Number<long>(argv[i], word);
    } else if (word == "--sample-us") {
      o.sample_us = Number<double>(argv[i], word);
    } else if (word == "--limit-s") {
      o.limit_s = Number<double>(argv[i], word);
    } else {
      throw UsageError("unknown option " + word);
    }
  }
  if (o.turns.empty() || o.rounds == 0) throw UsageError("needed: TURNS --rounds N");
  return o;
}

struct AlignedMemory {
  void AllocData(DLTensor* tensor) {
    const size_t bytes = (ffi::GetDataSize(*tensor) + kAlignment - 1) / kAlignment * kAlignment;
    tensor->data = std::aligned_alloc(kAlignment, std::max(bytes, kAlignment));
    if (tensor->data == nullptr) throw std::bad_alloc();
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

// A tensor of ordinary numbers: denormal ones would take another time. Anything but float is zero.
ffi::Tensor Filled(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos) throw UsageError("an argument is TYPE:AXIS,...: '" + text + "'");
  const DLDataType type = ffi::StringToDLDataType(text.substr(0, colon));
  std::vector<int64_t> shape;
  std::istringstream axes(text.substr(colon + 1));
  for (std::string axis; std::getline(axes, axis, ',');) shape.push_back(Number<int64_t>(axis, "an axis"));
  ffi::Tensor tensor = ffi::Tensor::FromNDAlloc(AlignedMemory(), ffi::ShapeView(shape.data(), shape.size()), type,
                                                DLDevice{kDLCPU, 0});
  std::memset(tensor.data_ptr(), 0, static_cast<size_t>(tensor.numel()) * type.bits / 8);
  uint32_t state = 1;
  for (int64_t i = 0; type.code == kDLFloat && i < tensor.numel(); ++i) {
    state = state * 1664525u + 1013904223u;
    const uint32_t random = state >> 9;
    if (type.bits == 32) {  // 0.5 .. 1, with either sign
      const uint32_t bits = (random & 0x3fffffu) | 0x3f000000u | (random & 0x400000u) << 9;
      std::memcpy(static_cast<char*>(tensor.data_ptr()) + 4 * i, &bits, 4);
    } else if (type.bits == 16) {
      const uint16_t bits = static_cast<uint16_t>((random & 0x3ffu) | 0x3800u | (random & 0x400u) << 5);
      std::memcpy(static_cast<char*>(tensor.data_ptr()) + 2 * i, &bits, 2);
    }
  }
  return tensor;
}

ffi::Function Get(ffi::Module module, const std::string& name) {
  auto function = module->GetFunction(name, true);  // a compiled function lies in the machine's imports
  if (!function.has_value()) throw std::runtime_error("the library has no function " + name);
  return function.value();
}

// The libraries of all turns, each loaded once and kept while its functions live.
class Libraries {
 public:
  ffi::Function Find(const std::string& path, const std::string& symbol) {
    if (symbol.rfind(kMachine, 0) != 0) return Get(Library(path), symbol);
    auto found = machines_.find(path);
    if (found == machines_.end()) {
      const auto machine = Get(Library(path), "vm_load_executable")().cast<ffi::Module>();
      Get(machine, "vm_initialization")(static_cast<int>(kDLCPU), 0, kPooledAllocator);
      found = machines_.emplace(path, machine).first;
    }
    return Get(found->second, symbol.substr(kMachine.size()));
  }

 private:
  ffi::Module Library(const std::string& path) {
    auto found = libraries_.find(path);
    if (found == libraries_.end()) {
      found = libraries_.emplace(path, ffi::Module::LoadFromFile(std::filesystem::absolute(path).string())).first;
    }
    return found->second;
  }

  std::map<std::string, ffi::Module> libraries_, machines_;  // in this order: a machine's code lives in its library
};

double Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

class Turn {
 public:
  Turn(Libraries& libraries, const std::string& line, clockid_t clock) : clock_(clock) {
    std::istringstream words(line);
    std::string library, symbol;
    if (!(words >> library >> symbol)) throw UsageError("a turn is LIBRARY SYMBOL ARGUMENT...: '" + line + "'");
    for (std::string word; words >> word;) tensors_.push_back(Filled(word));
    for (const ffi::Tensor& tensor : tensors_) arguments_.push_back(ffi::AnyView(tensor));
    function_ = libraries.Find(library, symbol);
    library_ = library;
  }

  const std::string& library() const { return library_; }

  // As many calls as fill a sample, by the second of two.
  void Settle(double sample_ns) {
    Nanoseconds(1);
    const double one = std::max(1.0, Nanoseconds(1));
    calls_ = std::clamp(static_cast<long>(std::ceil(sample_ns / one)), 1L, kMostCalls);
  }

  double Sample() {
    Nanoseconds(1);
    return Nanoseconds(calls_);
  }

 private:
  double Nanoseconds(long calls) {
    const double start = Now(clock_);
    for (long i = 0; i < calls; ++i) {
      ffi::Any result;
      function_.CallPacked(arguments_.data(), static_cast<int>(arguments_.size()), &result);
    }
    return (Now(clock_) - start) / static_cast<double>(calls);
  }

  clockid_t clock_;
  std::string library_;
  std::vector<ffi::Tensor> tensors_;
  std::vector<ffi::AnyView> arguments_;
  ffi::Function function_{nullptr};
  long calls_ = 1;
};

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  setenv("TVM_NUM_THREADS", std::to_string(options.threads).c_str(), 1);  // read when the first parallel loop runs
  const clockid_t clock = options.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  Libraries libraries;
  std::vector<Turn> turns;
  std::ifstream file(options.turns);
  if (!file) throw std::runtime_error("cannot read " + options.turns);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) turns.emplace_back(libraries, line, clock);
  }
  const double begin = Now(CLOCK_MONOTONIC);
  for (Turn& turn : turns) turn.Settle(1e3 * options.sample_us);
  std::ostringstream rounds;
  rounds.precision(12);
  for (long round = 0; round < options.rounds; ++round) {
    if (Now(CLOCK_MONOTONIC) - begin > 1e9 * options.limit_s) break;
    std::vector<double> taken(turns.size());
    for (size_t i = 0; i < turns.size(); ++i) {
      const size_t index = round % 2 ? turns.size() - 1 - i : i;
      taken[index] = turns[index].Sample();
    }
    rounds << (round ? ", [" : "[");
    for (size_t i = 0; i < taken.size(); ++i) rounds << (i ? ", " : "") << taken[i];
    rounds << "]";
  }
  std::map<std::string, std::string> digests;
  std::ostringstream models;
  for (const Turn& turn : turns) {
    auto found = digests.find(turn.library());
    if (found == digests.end()) found = digests.emplace(turn.library(), ofa::Sha256Of(turn.library())).first;
    models << (models.tellp() > 0 ? ", \"" : "\"") << found->second << "\"";
  }
  std::cout << "{\"models\": [" << models.str() << "], \"clock\": \"" << (options.threads == 1 ? "cpu" : "wall") << "\", \"rounds_ns\": [" << rounds.str()
            << "]}" << std::endl;
  return std::cout ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const UsageError& error) {
    std::cerr << "tvm_turns: " << error.what() << std::endl;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "tvm_turns: " << error.what() << std::endl;
    return 1;
  }
}
