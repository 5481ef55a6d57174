// CUDA's language as far as TVM's kernels use it, for a C++ compiler: one block after another, its threads as fibers of
// one thread, in turn. __syncthreads ends a turn; a block whose threads disagree about it is an error. Shared memory is
// filled with NaN before each block, and the order of the turns can be reversed: what a kernel reads before it was
// written, or reads from a neighbour without a barrier, then shows as a difference.
//
// Included ahead of the kernels' source by the file that `emulated.build` writes.
#pragma once
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <ucontext.h>
#include <vector>

#include "half.h"

#define __global__
#define __launch_bounds__(...)
using uint = unsigned;
using uchar = unsigned char;
using ushort = unsigned short;

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline int max(int a, int b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }

// A kernel: what calls it with a launch's parameters, and where its shared memory lies.
struct Kernel {
  const char* name;
  void (*call)(void** parameters);
  unsigned parameters;
  bool synchronises;
  char *shared, *shared_end;
};

namespace fibers {

constexpr size_t kStack = 64 << 10;

struct Fiber {
  jmp_buf state;
  ucontext_t start;
  std::vector<char> stack;
  Index thread;
  bool started, done;
};

static std::vector<Fiber*> pool;
static jmp_buf scheduler;
static ucontext_t home;
static Fiber* current;
static const Kernel* kernel;
static void** parameters;

static void Body() {
  kernel->call(parameters);
  current->done = true;
  _longjmp(scheduler, 1);
}

static void Resume(Fiber* fiber) {
  current = fiber;
  threadIdx = fiber->thread;
  if (_setjmp(scheduler) != 0) return;
  if (fiber->started) _longjmp(fiber->state, 1);
  fiber->started = true;
  getcontext(&fiber->start);
  fiber->start.uc_stack.ss_sp = fiber->stack.data();
  fiber->start.uc_stack.ss_size = kStack;
  fiber->start.uc_link = &home;
  makecontext(&fiber->start, Body, 0);
  setcontext(&fiber->start);
}

// One block with barriers: turns until every thread is done. Returns whether they agreed on every barrier.
static bool Block(const std::vector<Index>& threads) {
  while (pool.size() < threads.size()) {
    pool.push_back(new Fiber());
    pool.back()->stack.resize(kStack);
  }
  for (size_t i = 0; i < threads.size(); ++i) {
    pool[i]->thread = threads[i];
    pool[i]->started = pool[i]->done = false;
  }
  for (;;) {
    size_t done = 0;
    for (size_t i = 0; i < threads.size(); ++i) {
      Resume(pool[i]);
      done += pool[i]->done;
    }
    if (done == threads.size()) return true;
    if (done != 0) return false;
  }
}

}  // namespace fibers

__attribute__((noinline)) static void __syncthreads() {
  if (_setjmp(fibers::current->state) == 0) _longjmp(fibers::scheduler, 1);
}

// Run one launch. Returns an empty text, or what is wrong with the kernel.
static std::string Launch(const Kernel& kernel, Index grid, Index block, void** parameters, bool reversed) {
  std::vector<Index> threads;
  for (unsigned z = 0; z < block.z; ++z)
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x) threads.push_back({x, y, z});
  if (reversed) threads = std::vector<Index>(threads.rbegin(), threads.rend());
  gridDim = grid;
  blockDim = block;
  fibers::kernel = &kernel;
  fibers::parameters = parameters;
  for (uint64_t i = 0; i < static_cast<uint64_t>(grid.x) * grid.y * grid.z; ++i) {
    blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                static_cast<unsigned>(i / grid.x / grid.y)};
    if (kernel.shared != nullptr) std::memset(kernel.shared, 0xFF, kernel.shared_end - kernel.shared);
    if (!kernel.synchronises) {
      for (const Index& thread : threads) {
        threadIdx = thread;
        kernel.call(parameters);
      }
    } else if (!fibers::Block(threads)) {
      return std::string(kernel.name) + ": some threads of a block skip a __syncthreads";
    }
  }
  return "";
}
