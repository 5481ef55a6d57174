// What a program sees of its own device while it measures: heat, clocks, its memory; and the cores it is kept on.

#ifndef OFA_EDGE_WATCH_H_
#define OFA_EDGE_WATCH_H_

#include <glob.h>
#include <sched.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace ofa {

using Clock = std::chrono::steady_clock;

inline long long Milliseconds(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

// The first line of a small file, "" where it cannot be read.
inline std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// A number as JSON has it; null for anything else.
inline std::string Json(const std::string& text) {
  const bool number = !text.empty() && text.find_first_not_of("0123456789", text[0] == '-') == std::string::npos;
  return number ? text : "null";
}

// Heat and clocks once a second, between two timed runs: no other process and no network wakes up for it. A tick is
// [milliseconds, hottest zone in thousandths of a degree or null, kHz of each policy, its ceiling].
class Watch {
 public:
  Watch()
      : zones_(Find("/sys/class/thermal/thermal_zone*")),
        policies_(Find("/sys/devices/system/cpu/cpufreq/policy*")) {
    std::vector<std::string> cores;
    for (const std::string& zone : zones_) {
      std::string kind = TextOf(zone + "/type");
      std::transform(kind.begin(), kind.end(), kind.begin(), [](unsigned char c) { return std::tolower(c); });
      for (const char* part : {"cpu", "soc", "pkg", "gpu"}) {
        if (kind.find(part) == std::string::npos) continue;
        cores.push_back(zone);
        break;
      }
    }
    if (!cores.empty()) zones_.swap(cores);
    if (zones_.size() > kMostZones) zones_.resize(kMostZones);
  }

  void Look() {
    const auto now = Clock::now();
    if (now < due_) return;
    due_ = now + std::chrono::seconds(1);
    std::string hottest = "null";
    for (const std::string& zone : zones_) {
      const std::string heat = Json(TextOf(zone + "/temp"));
      if (heat != "null" && (hottest == "null" || std::atol(heat.c_str()) > std::atol(hottest.c_str()))) hottest = heat;
    }
    ticks_ << (ticks_.tellp() > 0 ? ", " : "") << "[" << Milliseconds(now - begin_) << ", " << hottest << ", "
           << All("scaling_cur_freq") << ", " << All("scaling_max_freq") << "]";
  }

  std::string ticks() const { return "[" + ticks_.str() + "]"; }

 private:
  static constexpr size_t kMostZones = 4;  // a sensor may take milliseconds to read

  static std::vector<std::string> Find(const char* pattern) {
    glob_t found;
    std::vector<std::string> paths;
    const size_t count = glob(pattern, 0, nullptr, &found) == 0 ? found.gl_pathc : 0;
    for (size_t i = 0; i < count; ++i) paths.emplace_back(found.gl_pathv[i]);
    globfree(&found);
    return paths;
  }

  std::string All(const char* name) const {
    std::string list = "[";
    for (const std::string& policy : policies_) {
      list += (list.size() > 1 ? ", " : "") + Json(TextOf(policy + "/" + name));
    }
    return list + "]";
  }

  std::vector<std::string> zones_, policies_;
  Clock::time_point begin_ = Clock::now(), due_ = begin_;
  std::ostringstream ticks_;
};

// Bytes of this process that were ever resident at once.
inline long PeakMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::atol(line.c_str() + 6) * 1024;
  }
  return 0;
}

// Keeps this process on those cores; on all where none is named. Returns whether the machine has them.
inline bool Pin(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : cores) {
    if (core >= CPU_SETSIZE) return false;
    CPU_SET(core, &set);
  }
  if (cores.empty() || sched_setaffinity(0, sizeof set, &set) != 0) return cores.empty();
  cpu_set_t given;  // the kernel leaves out cores that do not exist, and says nothing
  return sched_getaffinity(0, sizeof given, &given) == 0 && CPU_EQUAL(&set, &given);
}

}  // namespace ofa

#endif  // OFA_EDGE_WATCH_H_
