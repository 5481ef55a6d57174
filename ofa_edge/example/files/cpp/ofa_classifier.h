// The classifier of this build: one struct, three functions, no image library and no exceptions.
#ifndef OFA_CLASSIFIER_H_
#define OFA_CLASSIFIER_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ofa_classifier {
  void* runtime;              // what runs the model
  int classes;                // scores of an answer
  const char* const* labels;  // of them, UTF-8
  char error[256];            // what went wrong last
} ofa_classifier;

// Loads a model; `threads` of one inference. Returns 0, or -1 and the reason in `error`. Destroy it in either case.
int ofa_create(ofa_classifier* self, const char* model, int threads);

// A photo of any size, red, green and blue bytes row by row, upright -> `classes` scores, as the network gives them.
// Returns the number of the largest, or -1 and the reason in `error`.
int ofa_classify(ofa_classifier* self, const uint8_t* rgb, int width, int height, float* scores);

void ofa_destroy(ofa_classifier* self);

#ifdef __cplusplus
}
#endif

#endif  // OFA_CLASSIFIER_H_
