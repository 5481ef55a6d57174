// Whether answers are those of the build, on the photos of golden/; where not, which usual mistake they look like.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include "ofa_inside.h"
#include "ofa_interface.h"
#include "sha256.h"

namespace {

using Rows = std::vector<std::vector<float>>;

struct Mistake {
  std::string name;
  bool reversed = false;   // channels
  bool first = false;      // channel, in place of the luma
  const float* mean = kMean;
  const float* std = kStd;
  float before = 1;        // pixels are divided by it before they are normalised
  int fit = kFit;
  ofa::Filter filter = ofa::kTriangle;
  enum { kRight, kOther, kTurned } layout = kRight;
  enum { kAll, kNoZero, kPixels, kNoScale } steps = kAll;
  bool raw = false;        // output
};

const float kNothing[] = {0, 0, 0}, kOne[] = {1, 1, 1}, kMost[] = {255, 255, 255}, kHalf[] = {127.5f, 127.5f, 127.5f};

std::vector<Mistake> Mistakes() {
  std::vector<Mistake> found;
  auto add = [&](const std::string& name) -> Mistake& {
    found.emplace_back();
    found.back().name = name;
    return found.back();
  };
  add("channel order: blue, green, red (BGR) where red, green, blue (RGB) is wanted").reversed = true;
  if (kChannels == 1) add("grey: the first channel is taken, not the luma of all three").first = true;
  struct { const char* name; const float *mean, *std; } scales[] = {
      {"normalisation is missing: pixels go in as 0..255", kNothing, kOne},
      {"normalisation is missing: pixels go in as 0..1", kNothing, kMost},
      {"normalisation is missing: pixels go in as -1..1", kHalf, kHalf}};
  for (const auto& each : scales) {
    Mistake& made = add(each.name);
    made.mean = each.mean;
    made.std = each.std;
  }
  add("normalisation: mean and std are of pixels 0..255, and were applied to pixels 0..1").before = 255;
  const std::string fits[] = {"its middle square (crop)", "all of it squeezed (no crop)",
                              "all of it with grey bars (letterbox)"};
  const std::string words[] = {"crop", "squeeze", "letterbox"}, kind = int(kFit) == 0 ? "missing crop" : "fit";
  for (int fit = 0; fit < 3; ++fit) {
    if (fit != kFit) add(kind + ": the photo goes in as " + fits[fit] + ", not " + words[kFit]).fit = fit;
  }
  add("resize filter: nearest pixel, not the antialiased triangle").filter = ofa::kNearest;
  add("resize filter: bilinear without antialiasing, not the antialiased triangle").filter = ofa::kUnwidened;
  add("resize filter: bicubic, not the antialiased triangle").filter = ofa::kCubic;
  add("resize filter: box (area), not the antialiased triangle").filter = ofa::kBox;
  add(kLastChannels ? "layout: [C, H, W] where [H, W, C] is wanted" : "layout: [H, W, C] where [C, H, W] is wanted")
      .layout = Mistake::kOther;
  if (kHeight == kWidth) add("layout: rows and columns are swapped").layout = Mistake::kTurned;
  if (kInputBytes < 4) {
    add("quantisation: the zero point of the input is left out").steps = Mistake::kNoZero;
    add("quantisation: pixels - 128 are stored, not (input / scale) + zero point").steps = Mistake::kPixels;
    add("quantisation: the scale of the input is left out").steps = Mistake::kNoScale;
  }
  if (kOutputBytes < 4) add("the integers of the output are taken as they are: no scale").raw = true;
  return found;
}

std::vector<float> Prepared(ofa::Image photo, const Mistake& how) {
  for (size_t i = 0; i < photo.pixels.size(); i += 3) {
    if (how.reversed) std::swap(photo.pixels[i], photo.pixels[i + 2]);
    if (how.first) photo.pixels[i + 1] = photo.pixels[i + 2] = photo.pixels[i];
  }
  ofa::Frame frame = OfaFrame();
  frame.fit = ofa::Fit(how.fit);
  const ofa::Image pixels = ofa::Fitted(photo, frame, how.filter);
  std::vector<float> values = ofa::Normalised(pixels, how.mean, how.std);
  const int area = kHeight * kWidth;
  std::vector<float> made = values;
  for (int c = 0; c < kChannels; ++c) {
    for (int i = 0; i < area; ++i) {
      const int place = c * area + i;
      const float pixel = pixels.pixels[i * kChannels + c];
      if (how.before != 1) made[place] = (pixel / how.before - how.mean[c]) / how.std[c];
      if (how.layout == Mistake::kTurned) made[place] = values[c * area + (i % kWidth) * kHeight + i / kWidth];
      if (how.layout == Mistake::kOther) {
        // Where a number of the wrongly laid out input comes to lie for the network.
        made[place] = kLastChannels ? values[i * kChannels + c] : values[(place % kChannels) * area + place / kChannels];
      }
      if (how.steps == Mistake::kNoZero) made[place] -= kInputZero * kInputScale;
      if (how.steps == Mistake::kPixels) made[place] = (pixel - 128 - kInputZero) * kInputScale;
      if (how.steps == Mistake::kNoScale) made[place] = std::rint(made[place]) * kInputScale;
    }
  }
  return made;
}

std::vector<float> Thinned(const std::vector<float>& values) {
  std::vector<float> kept;
  for (size_t i = 0; i < values.size(); i += kGoldenEvery) kept.push_back(values[i]);
  return kept;
}

double SnrDb(const Rows& wanted, const Rows& found) {
  double power = 0, noise = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    for (size_t k = 0; k < wanted[i].size(); ++k) {
      power += double(wanted[i][k]) * wanted[i][k];
      noise += (double(wanted[i][k]) - found[i][k]) * (double(wanted[i][k]) - found[i][k]);
    }
  }
  if (!std::isfinite(noise)) return -200;
  return noise == 0 ? 200 : 10 * std::log10(std::max(power, 1e-300) / noise);
}

// The first file that a check stands on and that is not as the build wrote it; null where all are.
const char* Damaged(const std::string& build) {
  for (const auto& file : kGoldenFiles) {
    try {
      if (ofa::Sha256Of(build + "/" + file[0]) != file[1]) return file[0];
    } catch (const std::exception&) {
      return file[0];
    }
  }
  return nullptr;
}

bool ReadGolden(const std::string& folder, std::vector<ofa::Image>* photos, Rows* wanted) {
  std::ifstream file(folder + "answers.f32", std::ios::binary);
  const size_t numbers = (size_t(kClasses) + kGoldenEvery - 1) / kGoldenEvery;
  for (int number = 1; number <= kGoldenPhotos; ++number) {
    ofa::Image photo(1, 1, 3);
    std::vector<float> row(numbers);
    file.read(reinterpret_cast<char*>(row.data()), std::streamsize(numbers * sizeof(float)));
    if (!file || !OfaReadPpm((folder + std::to_string(number) + ".ppm").c_str(), &photo)) return false;
    photos->push_back(photo);
    wanted->push_back(row);
  }
  return true;
}

bool ReadAnswers(const char* path, Rows* found) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<float> row;
    for (float value; words >> value;) row.push_back(value);
    if (!row.empty()) found->push_back(Thinned(row));
  }
  return !found->empty();
}

Rows Answers(ofa_classifier* self, const std::vector<ofa::Image>& photos, const Mistake& how) {
  Rows rows;
  for (const ofa::Image& photo : photos) rows.push_back(Thinned(OfaAnswer(self, Prepared(photo, how), how.raw)));
  return rows;
}

// Says which mistake's answers these are.
void Cause(ofa_classifier* self, const std::vector<ofa::Image>& photos, const Rows& wanted, const Rows& found,
           double near) {
  const Rows rightly = Answers(self, photos, Mistake());
  const double right = SnrDb(wanted, rightly);
  if (right < kGoldenSnr) {
    std::printf("cause: not the preprocessing: rightly prepared, the file answers at %.1f dB here\n", right);
    return;
  }
  double most = -std::numeric_limits<double>::infinity();
  std::string name;
  for (const Mistake& each : Mistakes()) {
    const Rows made = Answers(self, photos, each);
    if (SnrDb(rightly, made) >= 200) continue;  // no mistake of this network
    const double snr = SnrDb(made, found);
    if (snr > most) most = snr, name = each.name;
  }
  if (most >= kGoldenSnr) {
    std::printf("cause: %s (its answers are these, at %.1f dB)\n", name.c_str(), most);
  } else if (most >= std::max(20.0, near + 6)) {
    std::printf("cause: most likely %s (its answers are at %.1f dB)\n", name.c_str(), most);
  } else if (near >= 20) {
    std::printf("cause: a small difference, as of rounding or of another resize filter that is not known here\n");
  } else {
    std::printf("cause: none of the usual mistakes; the nearest is %s, at %.1f dB\n", name.c_str(), most);
  }
}

}  // namespace

bool OfaReadPpm(const char* path, ofa::Image* image) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  int width = 0, height = 0, most = 0;
  if (!(file >> kind >> width >> height >> most) || kind != "P6" || most != 255 || width < 1 || height < 1) return false;
  if (width > 1 << 15 || height > 1 << 15) return false;
  file.get();
  *image = ofa::Image(height, width, 3);
  file.read(reinterpret_cast<char*>(image->pixels.data()), std::streamsize(image->pixels.size()));
  return bool(file);
}

int OfaCheck(ofa_classifier* self, const char* build, const char* answers) {
  std::vector<ofa::Image> photos;
  Rows wanted, found;
  if (const char* file = Damaged(build)) {
    std::printf("nothing was checked: %s is not as the build wrote it; copy it from the build again\n", file);
    return 3;
  }
  if (!ReadGolden(std::string(build) + "/golden/", &photos, &wanted)) {
    std::printf("cannot read the photos and answers of golden/\n");
    return 1;
  }
  if (answers != nullptr) {
    if (!ReadAnswers(answers, &found)) {
      std::printf("cannot read %s: one line of numbers an image\n", answers);
      return 1;
    }
  } else {
    for (const ofa::Image& photo : photos) {
      std::vector<float> scores(kClasses);
      if (ofa_classify(self, photo.pixels.data(), photo.width, photo.height, scores.data()) < 0) {
        std::printf("cannot run: %s\n", self->error);
        return 1;
      }
      found.push_back(Thinned(scores));
    }
  }
  bool fits = found.size() == wanted.size();
  for (size_t i = 0; fits && i < found.size(); ++i) fits = found[i].size() == wanted[i].size();
  if (!fits) {
    std::printf("differs: there are not %zu answers of %d numbers\n", wanted.size(), kClasses);
    return 1;
  }
  const double near = SnrDb(wanted, found);
  if (near >= kGoldenSnr) {
    std::printf("ok: %zu images, at %.1f dB beside the build's answers (%g are wanted)\n", photos.size(), near, kGoldenSnr);
    return 0;
  }
  std::printf("differs: %.1f dB beside the answers of the build, %g are wanted\n", near, kGoldenSnr);
  Cause(self, photos, wanted, found, near);
  return 1;
}
