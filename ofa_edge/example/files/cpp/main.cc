// Photos through the network of this build.
//
//   classify BUILD PHOTO.ppm...        the five most certain classes of each
//   classify BUILD --check             whether the answers on golden/ are those of the build
//   classify BUILD --check ANSWERS     the same of answers from elsewhere: one line of numbers an image
//
// BUILD is the build's folder. Exit status: 0 done, 1 it failed or the answers differ, 2 wrong usage,
// 3 nothing can be checked: a file was damaged.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <string>

#include "ofa_inside.h"
#include "ofa_interface.h"

static int Show(ofa_classifier* self, const char* path) {
  ofa::Image photo(1, 1, 3);
  std::vector<float> scores(self->classes);
  if (!OfaReadPpm(path, &photo)) {
    std::fprintf(stderr, "%s: no binary PPM; decode other photos with a library of yours\n", path);
    return 1;
  }
  if (ofa_classify(self, photo.pixels.data(), photo.width, photo.height, scores.data()) < 0) {
    std::fprintf(stderr, "%s: %s\n", path, self->error);
    return 1;
  }
  const float most = *std::max_element(scores.begin(), scores.end());
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  const bool shares = *std::min_element(scores.begin(), scores.end()) >= 0 && std::fabs(sum - 1) < 1e-3;
  double powers = 0;
  for (float score : scores) powers += std::exp(double(score) - most);
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  std::printf("%s:", path);
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) {
    const double share = shares ? scores[order[i]] : std::exp(double(scores[order[i]]) - most) / powers;
    std::printf("%s %s %.3f", i ? "," : "", self->labels[order[i]], share);
  }
  std::printf("\n");
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: classify BUILD PHOTO.ppm... | classify BUILD --check [ANSWERS]\n");
    return 2;
  }
  ofa_classifier classifier;
  int status = 0;
  if (ofa_create(&classifier, (std::string(argv[1]) + "/" + kFile).c_str(), 1) != 0) {
    std::fprintf(stderr, "cannot load the model: %s\n", classifier.error);
    status = 1;
  } else if (std::strcmp(argv[2], "--check") == 0) {
    status = OfaCheck(&classifier, argv[1], argc > 3 ? argv[3] : nullptr);
  } else {
    for (int i = 2; i < argc; ++i) status |= Show(&classifier, argv[i]);
  }
  ofa_destroy(&classifier);
  return status;
}
