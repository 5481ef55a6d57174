// The network of this build in ONNX Runtime, by its C API. The library is that of the Python package.
//
// Of the API's table only what is used here is declared, at its place in it: the table only ever grows at its end. With
// the headers of a release you can include onnxruntime_c_api.h instead.
#include "ofa_runtime.h"

#include <cstdint>
#include <cstring>

#include "ofa_interface.h"

extern "C" {
struct Status;
struct Api {
  void* unused_0[2];
  const char* (*message)(const Status*);                                              // GetErrorMessage
  Status* (*create_env)(int level, const char* name, void** out);                     // CreateEnv
  void* unused_4[3];
  Status* (*create_session)(void* env, const char* path, void* options, void** out);  // CreateSession
  void* unused_8[1];
  Status* (*run)(void* session, void* options, const char* const* input_names, void* const* inputs, size_t inputs_count,
                 const char* const* output_names, size_t outputs_count, void** outputs);  // Run
  Status* (*create_options)(void** out);                                              // CreateSessionOptions
  void* unused_11[13];
  Status* (*threads)(void* options, int count);                                       // SetIntraOpNumThreads
  void* unused_25[24];
  Status* (*tensor)(void* memory, void* data, size_t bytes, const int64_t* shape, size_t rank, int type,
                    void** out);                                                      // CreateTensorWithDataAsOrtValue
  void* unused_50[1];
  Status* (*data)(void* value, void** out);                                           // GetTensorMutableData
  void* unused_52[17];
  Status* (*cpu_memory)(int allocator, int kind, void** out);                         // CreateCpuMemoryInfo
  void* unused_70[22];
  void (*release_env)(void*);
  void (*release_status)(Status*);
  void (*release_memory)(void*);
  void (*release_session)(void*);
  void (*release_value)(void*);
  void* unused_97[3];
  void (*release_options)(void*);
};
struct ApiBase {
  const Api* (*get)(uint32_t version);
  const char* (*version)();
};
const ApiBase* OrtGetApiBase();
}

struct OfaRuntime {
  const Api* api;
  void *env = nullptr, *options = nullptr, *session = nullptr, *memory = nullptr;

  bool Ok(Status* status, std::string* error) const {
    if (status == nullptr) return true;
    *error = api->message(status);
    api->release_status(status);
    return false;
  }

  ~OfaRuntime() {
    if (session) api->release_session(session);
    if (memory) api->release_memory(memory);
    if (options) api->release_options(options);
    if (env) api->release_env(env);
  }
};

OfaRuntime* OfaOpen(const char* model, int threads, std::string* error) {
  constexpr uint32_t kVersion = 16;  // of the table: every later library has it
  const Api* api = OrtGetApiBase()->get(kVersion);
  if (api == nullptr) {
    *error = "an ONNX Runtime of another kind";
    return nullptr;
  }
  auto* made = new OfaRuntime{api};
  constexpr int kWarnings = 2, kArena = 1, kDefault = 0;
  if (made->Ok(api->create_env(kWarnings, "ofa", &made->env), error) &&
      made->Ok(api->create_options(&made->options), error) && made->Ok(api->threads(made->options, threads), error) &&
      made->Ok(api->create_session(made->env, model, made->options, &made->session), error) &&
      made->Ok(api->cpu_memory(kArena, kDefault, &made->memory), error)) {
    return made;
  }
  delete made;
  return nullptr;
}

bool OfaRun(OfaRuntime* self, const void* input, size_t input_bytes, void* output, size_t output_bytes,
            std::string* error) {
  constexpr int kFloat = 1;
  const int64_t shape[] = {1, kChannels, kHeight, kWidth};
  const char *in = kInputName, *out = kOutputName;
  void *value = nullptr, *answer = nullptr, *data = nullptr;
  const Api* api = self->api;
  bool ok = self->Ok(api->tensor(self->memory, const_cast<void*>(input), input_bytes, shape, 4, kFloat, &value), error);
  ok = ok && self->Ok(api->run(self->session, nullptr, &in, &value, 1, &out, 1, &answer), error) &&
       self->Ok(api->data(answer, &data), error);
  if (ok) std::memcpy(output, data, output_bytes);
  if (value) api->release_value(value);
  if (answer) api->release_value(answer);
  return ok;
}

void OfaClose(OfaRuntime* runtime) { delete runtime; }
