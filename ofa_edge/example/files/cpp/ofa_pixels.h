// From a photo's pixels to the network's input, bit for bit as example/python/pixels.py and the Android app have it.
//
// Resizing is a separable triangle filter, widened when shrinking, rounded half up. Its weights are multiples of 2^-20,
// so that the sums in double are exact. `How` can make the usual mistakes on purpose, for --check.
#ifndef OFA_PIXELS_H_
#define OFA_PIXELS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace ofa {

struct Image {
  int height, width, channels;
  std::vector<uint8_t> pixels;  // row by row, channels together
  Image(int h, int w, int c) : height(h), width(w), channels(c), pixels(size_t(h) * w * c) {}
  uint8_t* at(int y, int x) { return &pixels[(size_t(y) * width + x) * channels]; }
  const uint8_t* at(int y, int x) const { return &pixels[(size_t(y) * width + x) * channels]; }
};

enum Fit { kCrop, kSqueeze, kLetterbox };
enum Filter { kTriangle, kNearest, kUnwidened, kCubic, kBox };
constexpr uint8_t kGrey = 114;  // around a letterboxed picture
constexpr int kBoxed = 4;       // a photo of so many times the size is first averaged over boxes, to twice the size

struct Frame {  // of a network
  int height, width, channels;
  Fit fit;
};

inline double Kernel(Filter filter, double distance) {
  const double x = std::fabs(distance);
  if (filter != kCubic) return std::max(0.0, 1.0 - x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0.0;
}

// For each output, the first input that counts and the weights from there on.
struct Weights {
  std::vector<int> first;
  std::vector<std::vector<double>> weights;

  Weights(int length, int size, Filter filter) {
    const double scale = double(length) / size, widening = filter == kUnwidened ? 1.0 : std::max(scale, 1.0);
    const double reach = widening * (filter == kCubic ? 2 : 1) + 1;
    for (int i = 0; i < size; ++i) {
      const double centre = (i + 0.5) * scale;
      if (filter == kNearest) {
        first.push_back(std::min(length - 1, int(centre)));
        weights.push_back({1.0});
        continue;
      }
      const int from = std::max(0, int(std::floor(centre - reach)));
      const int to = std::min(length, int(std::ceil(centre + reach)));
      std::vector<double> found;
      double sum = 0;
      for (int k = from; k < to; ++k) {
        const double distance = k + 0.5 - centre;
        const double share = std::min(1.0, std::max(0.0, (widening + 1) / 2 - std::fabs(distance)));  // of its area
        sum += found.emplace_back(filter == kBox ? share : Kernel(filter, distance / widening));
      }
      for (double& each : found) {
        each /= sum;
        if (filter == kTriangle) each = std::rint(each * (1 << 20)) / (1 << 20);
      }
      first.push_back(from);
      weights.push_back(std::move(found));
    }
  }
};

inline Image Resize(const Image& image, int height, int width, Filter filter = kTriangle) {
  if (image.height == height && image.width == width) return image;
  const Weights down(image.height, height, filter), across(image.width, width, filter);
  Image result(height, width, image.channels);
  const int row = image.width * image.channels;
  std::vector<double> line(row);
  for (int y = 0; y < height; ++y) {
    std::fill(line.begin(), line.end(), 0.0);
    for (size_t k = 0; k < down.weights[y].size(); ++k) {
      const uint8_t* from = image.at(down.first[y] + int(k), 0);
      for (int i = 0; i < row; ++i) line[i] += down.weights[y][k] * from[i];
    }
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < image.channels; ++c) {
        double sum = 0;
        for (size_t k = 0; k < across.weights[x].size(); ++k) {
          sum += across.weights[x][k] * line[(across.first[x] + k) * image.channels + c];
        }
        result.at(y, x)[c] = uint8_t(std::min(255.0, std::max(0.0, std::floor(sum + 0.5))));
      }
    }
  }
  return result;
}

// The mean over boxes of pixels along one side, in Pillow's fixed-point arithmetic: from `length` to `size`.
struct Boxes {
  std::vector<int> first;
  std::vector<std::vector<int>> weights;

  Boxes(int length, int size) {
    const double scale = double(length) / size;
    for (int i = 0; i < size; ++i) {
      const double centre = (i + 0.5) * scale;
      const int from = std::max(0, int(centre - 0.5 * scale + 0.5));
      const int to = std::min(length, int(centre + 0.5 * scale + 0.5));
      std::vector<double> shares;
      double sum = 0;
      for (int k = from; k < to; ++k) {
        const double distance = (k - centre + 0.5) * (1.0 / scale);
        sum += shares.emplace_back(distance > -0.5 && distance <= 0.5 ? 1.0 : 0.0);
      }
      std::vector<int> whole;
      for (double share : shares) whole.push_back(int(0.5 + share * (1.0 / sum) * (1 << 22)));
      first.push_back(from);
      weights.push_back(std::move(whole));
    }
  }
};

inline uint8_t Weigh(const uint8_t* pixels, int step, const std::vector<int>& weights) {
  int sum = 1 << 21;
  for (size_t k = 0; k < weights.size(); ++k) sum += pixels[k * step] * weights[k];
  return uint8_t(std::min(255, std::max(0, sum >> 22)));
}

inline Image Boxed(const Image& image, int height, int width) {
  const Boxes columns(image.width, width), rows(image.height, height);
  const int channels = image.channels;
  Image across(image.height, width, channels), result(height, width, channels);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        across.at(y, x)[c] = Weigh(image.at(y, columns.first[x]) + c, channels, columns.weights[x]);
      }
    }
  }
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < width * channels; ++i) {
      result.at(y, 0)[i] = Weigh(across.at(rows.first[y], 0) + i, width * channels, rows.weights[y]);
    }
  }
  return result;
}

// Red, green and blue as the network has them: three channels, or the luma of ITU-R BT.601 as Pillow rounds it.
inline Image Channels(const Image& image, int channels) {
  if (image.channels == channels) return image;
  Image result(image.height, image.width, channels);
  const size_t count = size_t(image.height) * image.width;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* from = &image.pixels[i * image.channels];
    if (channels == 1) {
      result.pixels[i] = uint8_t((from[0] * 19595u + from[1] * 38470u + from[2] * 7471u + 0x8000u) >> 16);
    } else {
      std::fill_n(&result.pixels[i * channels], channels, from[0]);
    }
  }
  return result;
}

inline Image Shrunk(const Image& photo, int channels, int height, int width, Filter filter) {
  const bool large = photo.height >= kBoxed * height && photo.width >= kBoxed * width;
  const bool boxed = large && filter == kTriangle;
  return Resize(Channels(boxed ? Boxed(photo, 2 * height, 2 * width) : photo, channels), height, width, filter);
}

// A photo of any shape in the network's frame.
inline Image Fitted(const Image& photo, const Frame& frame, Filter filter = kTriangle) {
  if (frame.fit == kCrop) {
    const int side = std::min(photo.height, photo.width);
    const int top = (photo.height - side) / 2, left = (photo.width - side) / 2;
    Image square(side, side, photo.channels);
    for (int y = 0; y < side; ++y) std::copy_n(photo.at(top + y, left), side * photo.channels, square.at(y, 0));
    return Shrunk(square, frame.channels, frame.height, frame.width, filter);
  }
  if (frame.fit == kSqueeze) return Shrunk(photo, frame.channels, frame.height, frame.width, filter);
  const double ratio = std::min(double(frame.width) / photo.width, double(frame.height) / photo.height);
  const int width = std::max(1, int(std::nearbyint(photo.width * ratio)));
  const int height = std::max(1, int(std::nearbyint(photo.height * ratio)));
  const Image inner = Shrunk(photo, frame.channels, height, width, filter);
  Image result(frame.height, frame.width, frame.channels);
  std::fill(result.pixels.begin(), result.pixels.end(), kGrey);
  const int top = (frame.height - height) / 2, left = (frame.width - width) / 2;
  for (int y = 0; y < height; ++y) std::copy_n(inner.at(y, 0), width * frame.channels, result.at(top + y, left));
  return result;
}

// By channel (pixel - mean) / std, in float: [C, H, W].
inline std::vector<float> Normalised(const Image& image, const float* mean, const float* std) {
  const size_t area = size_t(image.height) * image.width;
  std::vector<float> values(area * image.channels);
  for (size_t i = 0; i < area; ++i) {
    for (int c = 0; c < image.channels; ++c) {
      values[c * area + i] = (float(image.pixels[i * image.channels + c]) - mean[c]) / std[c];
    }
  }
  return values;
}

}  // namespace ofa

#endif  // OFA_PIXELS_H_
