/* A test aid: loads shared libraries made for Android (arm64, bionic) into a process of ordinary Linux (arm64, glibc).
   Good enough for a library that computes and reads a few files; no exceptions, no graphics. */
#pragma once

typedef struct Library Library;

/* Maps the library, binds it to glibc, to the libraries loaded before it and to `bionic_function`, runs its
   constructors. Exits with a message where that cannot be done. */
Library* bionic_load(const char* path);

/* The address of an exported function or variable; null where there is none. */
void* bionic_symbol(const Library* library, const char* name);

/* Where bionic differs from glibc: what a library gets in place of glibc's function of that name, or null. */
void* bionic_function(const char* name);
