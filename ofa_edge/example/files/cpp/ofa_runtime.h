// What `runtime.cc` does for `ofa_classifier.cc`: tensors in and out as the file stores them. Messages go to `error`.
#ifndef OFA_RUNTIME_H_
#define OFA_RUNTIME_H_

#include <cstddef>
#include <string>

struct OfaRuntime;

// nullptr where the model cannot be loaded.
OfaRuntime* OfaOpen(const char* model, int threads, std::string* error);
bool OfaRun(OfaRuntime* runtime, const void* input, size_t input_bytes, void* output, size_t output_bytes,
            std::string* error);
void OfaClose(OfaRuntime* runtime);

#endif  // OFA_RUNTIME_H_
