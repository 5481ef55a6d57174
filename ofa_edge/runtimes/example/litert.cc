// The network of this build in LiteRT, by its C API. The library is that of the Python package, which brings no headers:
// what is used is declared here, as LiteRT 2.3 has it.
#include "ofa_runtime.h"

#include <cstdint>
#include <cstring>

#include "ofa_interface.h"

extern "C" {
struct Layout {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
};
struct TensorType {
  int32_t element;
  Layout layout;
};
int LiteRtCreateEnvironment(int count, const void* options, void** environment);
int LiteRtCreateModelFromFile(void* environment, const char* path, void** model);
int LiteRtCreateOptions(void** options);
int LiteRtSetOptionsHardwareAccelerators(void* options, int kinds);
int LiteRtCreateCompiledModel(void* environment, void* model, void* options, void** compiled);
int LiteRtGetCompiledModelInputBufferRequirements(void* compiled, size_t signature, size_t input, void** wanted);
int LiteRtGetCompiledModelOutputBufferRequirements(void* compiled, size_t signature, size_t output, void** wanted);
int LiteRtCreateManagedTensorBufferFromRequirements(void* environment, const TensorType* type, void* wanted, void** made);
int LiteRtLockTensorBuffer(void* buffer, void** address, int mode);
int LiteRtUnlockTensorBuffer(void* buffer);
int LiteRtRunCompiledModel(void* compiled, size_t signature, size_t inputs_count, void** inputs, size_t outputs_count,
                           void** outputs);
void LiteRtDestroyTensorBuffer(void* buffer);
void LiteRtDestroyCompiledModel(void* compiled);
void LiteRtDestroyOptions(void* options);
void LiteRtDestroyModel(void* model);
void LiteRtDestroyEnvironment(void* environment);
}

namespace {

int Element(int bytes, bool is_signed) {  // LiteRtElementType
  return bytes == 4 ? 1 : bytes == 2 ? 7 : is_signed ? 9 : 3;
}

TensorType Type(int element, const int* shape, int rank) {
  TensorType type = {};
  type.element = element;
  type.layout.rank = rank;
  for (int i = 0; i < rank; ++i) type.layout.dimensions[i] = shape[i];
  return type;
}

bool Ok(int status, const char* what, std::string* error) {
  if (status != 0) *error = std::string("LiteRT: ") + what + " gave status " + std::to_string(status);
  return status == 0;
}

}  // namespace

struct OfaRuntime {
  void *environment = nullptr, *model = nullptr, *options = nullptr, *compiled = nullptr;
  void *input = nullptr, *output = nullptr;

  bool Open(const char* path, std::string* error) {
    constexpr int kCpu = 1;
    const TensorType in = Type(Element(kInputBytes, kInputSigned), kInputShape, kInputRank);
    const TensorType out = Type(Element(kOutputBytes, kOutputSigned), kOutputShape, kOutputRank);
    void *in_wanted = nullptr, *out_wanted = nullptr;
    return Ok(LiteRtCreateEnvironment(0, nullptr, &environment), "an environment", error) &&
           Ok(LiteRtCreateModelFromFile(environment, path, &model), "reading the model", error) &&
           Ok(LiteRtCreateOptions(&options), "options", error) &&
           Ok(LiteRtSetOptionsHardwareAccelerators(options, kCpu), "choosing the CPU", error) &&
           Ok(LiteRtCreateCompiledModel(environment, model, options, &compiled), "preparing the model", error) &&
           Ok(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &in_wanted), "the input", error) &&
           Ok(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, &out_wanted), "the output", error) &&
           Ok(LiteRtCreateManagedTensorBufferFromRequirements(environment, &in, in_wanted, &input), "the input", error) &&
           Ok(LiteRtCreateManagedTensorBufferFromRequirements(environment, &out, out_wanted, &output), "the output", error);
  }

  ~OfaRuntime() {
    if (output) LiteRtDestroyTensorBuffer(output);
    if (input) LiteRtDestroyTensorBuffer(input);
    if (compiled) LiteRtDestroyCompiledModel(compiled);
    if (options) LiteRtDestroyOptions(options);
    if (model) LiteRtDestroyModel(model);
    if (environment) LiteRtDestroyEnvironment(environment);
  }
};

OfaRuntime* OfaOpen(const char* model, int, std::string* error) {  // this API takes its own number of threads
  auto* made = new OfaRuntime;
  if (made->Open(model, error)) return made;
  delete made;
  return nullptr;
}

bool OfaRun(OfaRuntime* self, const void* input, size_t input_bytes, void* output, size_t output_bytes,
            std::string* error) {
  constexpr int kRead = 0, kWrite = 1;
  void* place = nullptr;
  if (!Ok(LiteRtLockTensorBuffer(self->input, &place, kWrite), "writing the input", error)) return false;
  std::memcpy(place, input, input_bytes);
  LiteRtUnlockTensorBuffer(self->input);
  if (!Ok(LiteRtRunCompiledModel(self->compiled, 0, 1, &self->input, 1, &self->output), "running", error)) return false;
  if (!Ok(LiteRtLockTensorBuffer(self->output, &place, kRead), "reading the output", error)) return false;
  std::memcpy(output, place, output_bytes);
  LiteRtUnlockTensorBuffer(self->output);
  return true;
}

void OfaClose(OfaRuntime* runtime) { delete runtime; }
