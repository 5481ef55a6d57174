/* Where bionic's binary interface differs from glibc's: other names, other constants, other sizes of structures. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bionic.h"

/* Until API 23 the standard streams are elements of an array __sF of structures of 152 bytes. */
enum { FILE_SIZE = 152, MUTEX_SIZE = 40, KIND = 4 };
static char streams[3 * FILE_SIZE];

static FILE* stream(void* file) {
  uintptr_t at = (uintptr_t)file - (uintptr_t)streams;
  if (at >= sizeof streams) return file;
  return at < FILE_SIZE ? stdin : at < 2 * FILE_SIZE ? stdout : stderr;
}

static int b_vfprintf(void* file, const char* format, va_list values) { return vfprintf(stream(file), format, values); }
static int b_fprintf(void* file, const char* format, ...) {
  va_list values;
  va_start(values, format);
  int done = vfprintf(stream(file), format, values);
  va_end(values);
  return done;
}
static int b_fputc(int c, void* file) { return fputc(c, stream(file)); }
static size_t b_fwrite(const void* data, size_t size, size_t count, void* file) {
  return fwrite(data, size, count, stream(file));
}
static int b_fflush(void* file) { return fflush(file ? stream(file) : NULL); }
static int b_fileno(void* file) { return fileno(stream(file)); }
static void b_setbuf(void* file, char* buffer) { setbuf(stream(file), buffer); }
static size_t b_fread_chk(void* data, size_t size, size_t count, void* file, size_t room) {
  (void)room;
  return fread(data, size, count, stream(file));
}

extern int __xpg_strerror_r(int, char*, size_t); /* the POSIX one; glibc gives the plain name to its own */

static int* b_errno(void) { return &errno; }

static long b_sysconf(int name) {
  switch (name) {
    case 0x27: case 0x28: return sysconf(_SC_PAGESIZE);
    case 0x60: return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61: return sysconf(_SC_NPROCESSORS_ONLN);
    case 0x62: return sysconf(_SC_PHYS_PAGES);
    default: errno = EINVAL; return -1;
  }
}

/* bionic's mutex is 8 bytes shorter than glibc's, whose last 8 bytes nothing uses but its own pthread_mutex_init. */
static int b_mutex_init(void* mutex, const int* attributes) {
  memset(mutex, 0, MUTEX_SIZE);
  if (attributes) ((int*)mutex)[KIND] = *attributes & 3; /* normal, recursive, error-checking: the same numbers */
  return 0;
}
static int b_mutexattr_init(long* attributes) { *attributes = 0; return 0; }
static int b_mutexattr_settype(long* attributes, int type) { *attributes = type; return 0; }

/* bionic's attributes of a thread are shorter than glibc's: they hold a pointer to glibc's. */
static int b_attr_init(pthread_attr_t** attributes) {
  *attributes = malloc(sizeof **attributes);
  return pthread_attr_init(*attributes);
}
static int b_attr_destroy(pthread_attr_t** attributes) {
  int status = pthread_attr_destroy(*attributes);
  free(*attributes);
  return status;
}
static int b_attr_setdetachstate(pthread_attr_t** attributes, int state) {
  return pthread_attr_setdetachstate(*attributes, state);
}
static int b_attr_setstacksize(pthread_attr_t** attributes, size_t size) {
  return pthread_attr_setstacksize(*attributes, size);
}
static int b_attr_setguardsize(pthread_attr_t** attributes, size_t size) {
  return pthread_attr_setguardsize(*attributes, size);
}
static int b_attr_getguardsize(pthread_attr_t** attributes, size_t* size) {
  return pthread_attr_getguardsize(*attributes, size);
}
static int b_create(pthread_t* thread, pthread_attr_t** attributes, void* (*function)(void*), void* argument) {
  return pthread_create(thread, attributes ? *attributes : NULL, function, argument);
}

static int b_log_print(int priority, const char* tag, const char* format, ...) {
  va_list values;
  va_start(values, format);
  fprintf(stderr, "[%d %s] ", priority, tag);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
  return 1;
}
static int b_log_vprint(int priority, const char* tag, const char* format, va_list values) {
  fprintf(stderr, "[%d %s] ", priority, tag);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  return 1;
}
static int b_log_write(int priority, const char* tag, const char* text) {
  return fprintf(stderr, "[%d %s] %s\n", priority, tag, text);
}
static void b_abort_message(const char* text) { fprintf(stderr, "abort: %s\n", text); }

static int b_property_get(const char* name, char* value) { (void)name; *value = 0; return 0; }
static size_t b_strlen_chk(const char* text, size_t room) { (void)room; return strlen(text); }
static char* b_strchr_chk(const char* text, int c, size_t room) { (void)room; return strchr(text, c); }
static char* b_strncpy_chk2(char* to, const char* from, size_t size, size_t to_room, size_t from_room) {
  (void)to_room;
  (void)from_room;
  return strncpy(to, from, size);
}
static ssize_t b_write_chk(int file, const void* data, size_t size, size_t room) {
  (void)room;
  return write(file, data, size);
}

/* Sets of signals are 8 bytes there and 128 here; handlers are of no use to a test. */
static int b_sigfillset(uint64_t* set) { *set = ~(uint64_t)0; return 0; }
static int b_sigdelset(uint64_t* set, int signal) { *set &= ~((uint64_t)1 << (signal - 1)); return 0; }
static int b_nothing(void) { return 0; }

void* bionic_function(const char* name) {
  static const struct { const char* name; void* function; } table[] = {
      {"__sF", streams},
      {"__errno", b_errno},
      {"__cxa_atexit", b_nothing}, /* the process ends without destructors */
      {"__fread_chk", b_fread_chk},
      {"__gnu_strerror_r", strerror_r},
      {"__pthread_cleanup_pop", b_nothing},
      {"__pthread_cleanup_push", b_nothing},
      {"__register_atfork", b_nothing},
      {"__strchr_chk", b_strchr_chk},
      {"__strlen_chk", b_strlen_chk},
      {"__strncpy_chk2", b_strncpy_chk2},
      {"__system_property_find", b_nothing},
      {"__system_property_get", b_property_get},
      {"__write_chk", b_write_chk},
      {"__android_log_print", b_log_print},
      {"__android_log_vprint", b_log_vprint},
      {"__android_log_write", b_log_write},
      {"android_set_abort_message", b_abort_message},
      {"fflush", b_fflush},
      {"fileno", b_fileno},
      {"fprintf", b_fprintf},
      {"fputc", b_fputc},
      {"fwrite", b_fwrite},
      {"setbuf", b_setbuf},
      {"vfprintf", b_vfprintf},
      {"pthread_attr_destroy", b_attr_destroy},
      {"pthread_attr_getguardsize", b_attr_getguardsize},
      {"pthread_attr_getschedparam", b_nothing},
      {"pthread_attr_init", b_attr_init},
      {"pthread_attr_setdetachstate", b_attr_setdetachstate},
      {"pthread_attr_setguardsize", b_attr_setguardsize},
      {"pthread_attr_setschedparam", b_nothing},
      {"pthread_attr_setschedpolicy", b_nothing},
      {"pthread_attr_setscope", b_nothing},
      {"pthread_attr_setstacksize", b_attr_setstacksize},
      {"pthread_create", b_create},
      {"pthread_mutex_init", b_mutex_init},
      {"pthread_mutexattr_init", b_mutexattr_init},
      {"pthread_mutexattr_settype", b_mutexattr_settype},
      {"pthread_sigmask", b_nothing},
      {"sigaction", b_nothing},
      {"sigdelset", b_sigdelset},
      {"sigfillset", b_sigfillset},
      {"strerror_r", __xpg_strerror_r},
      {"sysconf", b_sysconf},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (!strcmp(name, table[i].name)) return table[i].function;
  return NULL;
}
