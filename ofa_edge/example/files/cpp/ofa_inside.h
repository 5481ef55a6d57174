// Between `ofa_classifier.cc` and `check.cc`: the network behind its preprocessing.
#ifndef OFA_INSIDE_H_
#define OFA_INSIDE_H_

#include <vector>

#include "ofa_classifier.h"
#include "ofa_pixels.h"

// The frame of the network of this build.
ofa::Frame OfaFrame();
// Scores for an input [C, H, W] that was prepared elsewhere; `raw`: the integers of the output as they are stored.
// Empty where it failed; the reason is in `error`.
std::vector<float> OfaAnswer(ofa_classifier* self, const std::vector<float>& prepared, bool raw = false);
// `main.cc --check`: 0 the answers fit, 1 they do not.
int OfaCheck(ofa_classifier* self, const char* build, const char* answers);
bool OfaReadPpm(const char* path, ofa::Image* image);

#endif  // OFA_INSIDE_H_
