// float16 for emulated kernels: stored in 16 bits, each operation computed in float32 and rounded once, which is what
// a GPU's fp16 addition, subtraction, multiplication and division give (float32 holds more than twice the bits).
#pragma once
#include <cstdint>
#include <cstring>

struct half {
  uint16_t bits;

  half() = default;
  half(float value) : bits(Round(value)) {}
  half(double value) : half(static_cast<float>(value)) {}
  half(int value) : half(static_cast<float>(value)) {}
  operator float() const { return Widen(bits); }

  static float Widen(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, rest = bits & 1023;
    uint32_t word;
    if (exponent == 31) {
      word = sign | 0x7F800000 | rest << 13;
    } else if (exponent != 0) {
      word = sign | (exponent + 112) << 23 | rest << 13;
    } else {  // zero or subnormal: rest times 2^-24
      const float value = static_cast<float>(rest) * 0x1p-24f;
      std::memcpy(&word, &value, 4);
      word |= sign;
    }
    float value;
    std::memcpy(&value, &word, 4);
    return value;
  }

  // To the nearest, ties to even.
  static uint16_t Round(float value) {
    uint32_t word;
    std::memcpy(&word, &value, 4);
    const uint16_t sign = static_cast<uint16_t>(word >> 16 & 0x8000);
    word &= 0x7FFFFFFF;
    if (word > 0x7F800000) return sign | 0x7E00;
    if (word >= 0x477FF000) return sign | 0x7C00;  // 65520 and more round to infinity
    if (word < 0x38800000) {                       // below 2^-14: subnormal
      float magnitude;
      std::memcpy(&magnitude, &word, 4);
      magnitude += 0.5f;  // the sum's last bit stands for 2^-24: float32's own rounding does the work
      std::memcpy(&word, &magnitude, 4);
      return sign | static_cast<uint16_t>(word - 0x3F000000);
    }
    word += 0xFFF + (word >> 13 & 1);
    return sign | static_cast<uint16_t>((word - 0x38000000) >> 13);
  }
};

inline half operator+(half a, half b) { return half(float(a) + float(b)); }
inline half operator-(half a, half b) { return half(float(a) - float(b)); }
inline half operator*(half a, half b) { return half(float(a) * float(b)); }
inline half operator/(half a, half b) { return half(float(a) / float(b)); }
inline half operator-(half a) { return half(-float(a)); }
inline bool operator<(half a, half b) { return float(a) < float(b); }
inline bool operator>(half a, half b) { return float(a) > float(b); }
inline bool operator<=(half a, half b) { return float(a) <= float(b); }
inline bool operator>=(half a, half b) { return float(a) >= float(b); }
inline bool operator==(half a, half b) { return float(a) == float(b); }
inline bool operator!=(half a, half b) { return float(a) != float(b); }
inline half __float2half_rn(float value) { return half(value); }
inline half __float2half(float value) { return half(value); }
inline float __half2float(half value) { return float(value); }
inline half max(half a, half b) { return a > b ? a : b; }
inline half min(half a, half b) { return a < b ? a : b; }

struct alignas(4) half2 {
  half x, y;
};
struct alignas(8) half4 {
  half x, y, z, w;
};
inline half2 make_half2(half x, half y) { return {x, y}; }
inline half4 make_half4(half x, half y, half z, half w) { return {x, y, z, w}; }
inline unsigned __pack_half2(half x, half y) { return static_cast<unsigned>(y.bits) << 16 | x.bits; }
