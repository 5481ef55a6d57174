// SHA-256 of a file (FIPS 180-4), for a runner to say which model it ran: a board need not have a library of it.

#ifndef OFA_EDGE_SHA256_H_
#define OFA_EDGE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>

namespace ofa {

class Sha256 {
 public:
  void Add(const unsigned char* data, size_t size) {
    bits_ += 8 * static_cast<uint64_t>(size);
    for (size_t i = 0; i < size; ++i) {
      block_[used_++] = data[i];
      if (used_ == block_.size()) Mix();
    }
  }

  // Hex, once all is added.
  std::string End() {
    const uint64_t bits = bits_;
    const unsigned char one = 0x80, zero = 0;
    Add(&one, 1);
    while (used_ != block_.size() - 8) Add(&zero, 1);
    for (int shift = 56; shift >= 0; shift -= 8) {
      const unsigned char byte = static_cast<unsigned char>(bits >> shift);
      Add(&byte, 1);
    }
    std::string text;
    for (const uint32_t word : state_) {
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    }
    return text;
  }

 private:
  static uint32_t Turned(uint32_t x, int by) { return x >> by | x << (32 - by); }

  void Mix() {
    std::array<uint32_t, 64> w;
    for (size_t i = 0; i < 16; ++i) {
      w[i] = static_cast<uint32_t>(block_[4 * i]) << 24 | static_cast<uint32_t>(block_[4 * i + 1]) << 16 |
             static_cast<uint32_t>(block_[4 * i + 2]) << 8 | block_[4 * i + 3];
    }
    for (size_t i = 16; i < 64; ++i) {
      const uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (Turned(a, 7) ^ Turned(a, 18) ^ a >> 3) + w[i - 7] + (Turned(b, 17) ^ Turned(b, 19) ^ b >> 10);
    }
    std::array<uint32_t, 8> s = state_;
    for (size_t i = 0; i < 64; ++i) {
      const uint32_t e = Turned(s[4], 6) ^ Turned(s[4], 11) ^ Turned(s[4], 25);
      const uint32_t a = Turned(s[0], 2) ^ Turned(s[0], 13) ^ Turned(s[0], 22);
      const uint32_t one = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRounds[i] + w[i];
      const uint32_t two = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      s = {one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]};
    }
    for (size_t i = 0; i < 8; ++i) state_[i] += s[i];
    used_ = 0;
  }

  static constexpr std::array<uint32_t, 64> kRounds = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
  };
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> block_{};
  size_t used_ = 0;
  uint64_t bits_ = 0;
};

// Hex SHA-256 of a file's content.
inline std::string Sha256Of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Sha256 digest;
  std::array<char, 1 << 16> part;
  while (file.read(part.data(), part.size()) || file.gcount() > 0) {
    digest.Add(reinterpret_cast<const unsigned char*>(part.data()), static_cast<size_t>(file.gcount()));
  }
  if (!file.eof()) throw std::runtime_error("cannot read " + path);
  return digest.End();
}

}  // namespace ofa

#endif  // OFA_EDGE_SHA256_H_
