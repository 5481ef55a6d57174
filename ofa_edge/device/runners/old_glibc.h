// Lets a program that is linked against a new glibc start on an old one: JetPack 4 has 2.27 (Ubuntu 18.04).
//
// glibc 2.34 gave these functions new versions without changing what they do, and the linker takes the newest; here the
// first versions are asked for, which every glibc has. Included once, by the file that is linked; `main` programs are
// linked with --wrap=__libc_start_main. Of the C++ library, what GCC 7's (Ubuntu 18.04) lacks is compiled in.
#pragma once
#include <dlfcn.h>

#include <sstream>

template class std::basic_ostringstream<char>;  // its default constructor came with GCC 9

#if defined(__aarch64__)
#define OFA_FIRST_GLIBC "GLIBC_2.17"
#elif defined(__x86_64__)
#define OFA_FIRST_GLIBC "GLIBC_2.2.5"
#else
#error "the first version of glibc for this architecture is not known"
#endif

__asm__(".symver dlopen, dlopen@" OFA_FIRST_GLIBC);
__asm__(".symver dlsym, dlsym@" OFA_FIRST_GLIBC);
__asm__(".symver dlerror, dlerror@" OFA_FIRST_GLIBC);

#ifdef OFA_PROGRAM
extern "C" {
using InitFunction = void (*)(int, char**, char**);
extern InitFunction __init_array_start[] __attribute__((visibility("hidden")));
extern InitFunction __init_array_end[] __attribute__((visibility("hidden")));

int ofa_first_start_main(int (*)(int, char**, char**), int, char**, InitFunction, void (*)(), void (*)(), void*);
__asm__(".symver ofa_first_start_main, __libc_start_main@" OFA_FIRST_GLIBC);

// The first version runs no constructors by itself.
static void ofa_construct(int argc, char** argv, char** environment) {
  for (InitFunction* init = __init_array_start; init != __init_array_end; ++init) (*init)(argc, argv, environment);
}

int __wrap___libc_start_main(int (*entry)(int, char**, char**), int argc, char** argv, InitFunction, void (*)(),
                             void (*loader_end)(), void* stack_end) {
  return ofa_first_start_main(entry, argc, argv, ofa_construct, nullptr, loader_end, stack_end);
}
}
#endif
