/* The loader: segments, relocations (RELA, and Android's packed form APS2), symbols by GNU hash, constructors. */
#define _GNU_SOURCE
#include "bionic.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ANDROID_RELA = 0x60000011, GROUPED_BY_INFO = 1, GROUPED_BY_OFFSET = 2, GROUPED_BY_ADDEND = 4, HAS_ADDEND = 8 };

struct Library {
  const char* path;
  uint8_t* base;
  const Elf64_Sym* symbols;
  const char* names;
  const uint32_t* hash;
  const Elf64_Rela* rela;
  size_t rela_count;
  const Elf64_Rela* plt;
  size_t plt_count;
  const uint8_t* packed;
  void (**constructors)(void);
  size_t constructor_count;
  Library* earlier;
};

static Library* loaded;

/* glibc's thread pointer is followed by the program's own thread-local variables. Android's compilers read the stack
   guard 40 bytes behind the thread pointer: this keeps the place constant. */
static __thread volatile char slots[64] __attribute__((used)) = {1};

static void fail(const Library* library, const char* what, const char* which) {
  fprintf(stderr, "bionic: %s: %s %s\n", library->path, what, which);
  exit(3);
}

static void unresolved(void) {
  fprintf(stderr, "bionic: the library called a function that this loader does not have\n");
  abort();
}

void* bionic_symbol(const Library* library, const char* name) {
  const uint32_t *table = library->hash, buckets = table[0], first = table[1], bloom = table[2];
  const uint32_t *bucket = table + 4 + 2 * bloom, *chain = bucket + buckets;
  uint32_t hash = 5381;
  for (const uint8_t* c = (const uint8_t*)name; *c; c++) hash = hash * 33 + *c;
  uint32_t index = bucket[hash % buckets];
  if (index < first) return NULL;
  for (;; index++) {
    uint32_t entry = chain[index - first];
    const Elf64_Sym* symbol = library->symbols + index;
    if ((entry | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF && !strcmp(name, library->names + symbol->st_name))
      return library->base + symbol->st_value;
    if (entry & 1) return NULL;
  }
}

static uint64_t resolve(const Library* library, uint32_t index) {
  const Elf64_Sym* symbol = library->symbols + index;
  const char* name = library->names + symbol->st_name;
  if (symbol->st_shndx != SHN_UNDEF) return (uint64_t)(library->base + symbol->st_value);
  void* found = bionic_function(name);
  for (const Library* other = loaded; other && !found; other = other->earlier) found = bionic_symbol(other, name);
  if (!found) found = dlsym(RTLD_DEFAULT, name);
  if (!found && ELF64_ST_BIND(symbol->st_info) != STB_WEAK) found = (void*)unresolved;
  return (uint64_t)found;
}

static void relocate(const Library* library, uint64_t offset, uint64_t info, int64_t addend) {
  uint64_t* place = (uint64_t*)(library->base + offset);
  switch (ELF64_R_TYPE(info)) {
    case R_AARCH64_RELATIVE:
      *place = (uint64_t)library->base + (uint64_t)addend;
      break;
    case R_AARCH64_ABS64:
    case R_AARCH64_GLOB_DAT:
    case R_AARCH64_JUMP_SLOT:
      *place = resolve(library, (uint32_t)ELF64_R_SYM(info)) + (uint64_t)addend;
      break;
    default:
      fail(library, "a relocation of an unknown kind", "");
  }
}

/* A signed LEB128 number. */
static int64_t number(const uint8_t** at) {
  int64_t value = 0;
  unsigned shift = 0;
  uint8_t byte;
  do {
    byte = *(*at)++;
    value |= (int64_t)(byte & 127) << shift;
    shift += 7;
  } while (byte & 128);
  if (shift < 64 && byte & 64) value -= (int64_t)1 << shift;
  return value;
}

static void relocate_packed(const Library* library) {
  const uint8_t* at = library->packed + 4;
  if (memcmp(library->packed, "APS2", 4)) fail(library, "packed relocations of an unknown kind", "");
  int64_t left = number(&at), offset = number(&at), addend = 0;
  while (left > 0) {
    int64_t size = number(&at), flags = number(&at), step = 0, info = 0;
    if (flags & GROUPED_BY_OFFSET) step = number(&at);
    if (flags & GROUPED_BY_INFO) info = number(&at);
    if ((flags & HAS_ADDEND) && (flags & GROUPED_BY_ADDEND)) addend += number(&at);
    if (!(flags & HAS_ADDEND)) addend = 0;
    for (int64_t i = 0; i < size; i++) {
      offset += flags & GROUPED_BY_OFFSET ? step : number(&at);
      if (!(flags & GROUPED_BY_INFO)) info = number(&at);
      if ((flags & HAS_ADDEND) && !(flags & GROUPED_BY_ADDEND)) addend += number(&at);
      relocate(library, (uint64_t)offset, (uint64_t)info, addend);
    }
    left -= size;
  }
}

static uint8_t* map_segments(const Library* library, int file, const Elf64_Ehdr* header, const Elf64_Phdr* segments) {
  uint64_t end = 0;
  for (int i = 0; i < header->e_phnum; i++) {
    if (segments[i].p_type == PT_TLS) fail(library, "it has thread-local variables", "");
    uint64_t last = segments[i].p_vaddr + segments[i].p_memsz;
    if (segments[i].p_type == PT_LOAD && last > end) end = last;
  }
  uint8_t* base = mmap(NULL, end, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) fail(library, "no memory", "");
  for (int i = 0; i < header->e_phnum; i++) {
    const Elf64_Phdr* segment = segments + i;
    if (segment->p_type == PT_LOAD &&
        pread(file, base + segment->p_vaddr, segment->p_filesz, (off_t)segment->p_offset) != (ssize_t)segment->p_filesz)
      fail(library, "it is truncated", "");
  }
  return base;
}

static void read_dynamic(Library* library, const Elf64_Dyn* entry) {
  for (; entry->d_tag != DT_NULL; entry++) {
    void* at = library->base + entry->d_un.d_ptr;
    switch (entry->d_tag) {
      case DT_SYMTAB: library->symbols = at; break;
      case DT_STRTAB: library->names = at; break;
      case DT_GNU_HASH: library->hash = at; break;
      case DT_RELA: library->rela = at; break;
      case DT_RELASZ: library->rela_count = entry->d_un.d_val / sizeof(Elf64_Rela); break;
      case DT_JMPREL: library->plt = at; break;
      case DT_PLTRELSZ: library->plt_count = entry->d_un.d_val / sizeof(Elf64_Rela); break;
      case DT_INIT_ARRAY: library->constructors = at; break;
      case DT_INIT_ARRAYSZ: library->constructor_count = entry->d_un.d_val / sizeof(void*); break;
      case ANDROID_RELA: library->packed = at; break;
      default: break;
    }
  }
  if (!library->symbols || !library->names || !library->hash) fail(library, "it has no symbols", "");
}

Library* bionic_load(const char* path) {
  Library* library = calloc(1, sizeof *library);
  Elf64_Ehdr header;
  Elf64_Phdr segments[32];
  library->path = path;
  int file = open(path, O_RDONLY);
  if (file < 0 || pread(file, &header, sizeof header, 0) != sizeof header) fail(library, "it cannot be read", "");
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_machine != EM_AARCH64 || header.e_phnum > 32)
    fail(library, "it is no library for arm64", "");
  size_t size = header.e_phnum * sizeof(Elf64_Phdr);
  if (pread(file, segments, size, (off_t)header.e_phoff) != (ssize_t)size) fail(library, "it is truncated", "");
  library->base = map_segments(library, file, &header, segments);
  close(file);
  for (int i = 0; i < header.e_phnum; i++)
    if (segments[i].p_type == PT_DYNAMIC) read_dynamic(library, (Elf64_Dyn*)(library->base + segments[i].p_vaddr));
  if (library->packed) relocate_packed(library);
  for (size_t i = 0; i < library->rela_count; i++)
    relocate(library, library->rela[i].r_offset, library->rela[i].r_info, library->rela[i].r_addend);
  for (size_t i = 0; i < library->plt_count; i++)
    relocate(library, library->plt[i].r_offset, library->plt[i].r_info, library->plt[i].r_addend);
  library->earlier = loaded;
  loaded = library;
  for (size_t i = 0; i < library->constructor_count; i++)
    if (library->constructors[i]) library->constructors[i]();
  return library;
}
