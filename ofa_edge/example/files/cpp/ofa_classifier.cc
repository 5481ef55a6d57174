// See ofa_classifier.h. What is of this build stands in ofa_interface.h; what is of its runtime in runtime.cc.
#include "ofa_classifier.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "ofa_inside.h"
#include "ofa_interface.h"
#include "ofa_runtime.h"

namespace {

int Fail(ofa_classifier* self, const std::string& why) {
  std::snprintf(self->error, sizeof self->error, "%s", why.c_str());
  return -1;
}

// As the file stores numbers: floats as they are, integers rounded half to even and saturated.
template <typename T>
void Store(const std::vector<float>& values, long low, long high, std::vector<char>* out) {
  out->resize(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const double steps = double(std::rint(values[i] / kInputScale)) + kInputZero;
    const T stored = T(std::min(double(high), std::max(double(low), steps)));
    std::memcpy(out->data() + i * sizeof(T), &stored, sizeof(T));
  }
}

std::vector<char> Stored(const std::vector<float>& values) {
  std::vector<char> out;
  if (kInputBytes == 4) {
    out.resize(values.size() * sizeof(float));
    std::memcpy(out.data(), values.data(), out.size());
  } else if (kInputBytes == 2) {
    Store<int16_t>(values, -32768, 32767, &out);
  } else if (kInputSigned) {
    Store<int8_t>(values, -128, 127, &out);
  } else {
    Store<uint8_t>(values, 0, 255, &out);
  }
  return out;
}

float Real(const char* stored, bool raw) {
  float value = 0;
  if (kOutputBytes == 4) {
    std::memcpy(&value, stored, sizeof value);
    return value;
  }
  int whole = 0;
  if (kOutputBytes == 2) {
    int16_t two;
    std::memcpy(&two, stored, sizeof two);
    whole = two;
  } else {
    whole = kOutputSigned ? int(*reinterpret_cast<const int8_t*>(stored)) : int(*reinterpret_cast<const uint8_t*>(stored));
  }
  return raw ? float(whole) : (float(whole) - float(kOutputZero)) * kOutputScale;
}

}  // namespace

ofa::Frame OfaFrame() { return {kHeight, kWidth, kChannels, ofa::Fit(kFit)}; }

std::vector<float> OfaAnswer(ofa_classifier* self, const std::vector<float>& prepared, bool raw) {
  std::vector<float> values = prepared;
  const size_t area = size_t(kHeight) * kWidth;
  if (kLastChannels) {
    for (size_t i = 0; i < area; ++i) {
      for (int c = 0; c < kChannels; ++c) values[i * kChannels + c] = prepared[c * area + i];
    }
  }
  const std::vector<char> input = Stored(values);
  std::vector<char> output(size_t(kClasses) * kOutputBytes);
  std::string error;
  auto* runtime = static_cast<OfaRuntime*>(self->runtime);
  if (!OfaRun(runtime, input.data(), input.size(), output.data(), output.size(), &error)) {
    Fail(self, error);
    return {};
  }
  std::vector<float> answer(kClasses);
  for (int i = 0; i < kClasses; ++i) answer[i] = Real(output.data() + i * kOutputBytes, raw);
  return answer;
}

extern "C" {

int ofa_create(ofa_classifier* self, const char* model, int threads) {
  std::memset(self, 0, sizeof *self);
  self->classes = kClasses;
  self->labels = kLabels;
  std::string error;
  self->runtime = OfaOpen(model, threads, &error);
  return self->runtime ? 0 : Fail(self, error);
}

int ofa_classify(ofa_classifier* self, const uint8_t* rgb, int width, int height, float* scores) {
  if (!self->runtime || width < 1 || height < 1) return Fail(self, "no model, or no photo");
  try {
    ofa::Image photo(height, width, 3);
    std::copy_n(rgb, photo.pixels.size(), photo.pixels.begin());
    const ofa::Image pixels = ofa::Fitted(photo, OfaFrame());
    const std::vector<float> answer = OfaAnswer(self, ofa::Normalised(pixels, kMean, kStd));
    if (answer.empty()) return -1;
    std::copy(answer.begin(), answer.end(), scores);
    return int(std::max_element(answer.begin(), answer.end()) - answer.begin());
  } catch (const std::exception& error) {
    return Fail(self, error.what());
  }
}

void ofa_destroy(ofa_classifier* self) {
  if (self->runtime) OfaClose(static_cast<OfaRuntime*>(self->runtime));
  self->runtime = nullptr;
}
}
