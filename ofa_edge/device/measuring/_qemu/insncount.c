/* A QEMU TCG plugin that counts the guest instructions between marks, and, when asked, what they run and touch.
 *
 * The guest makes a mark with a harmless system call: getpriority(PRIO_PROCESS, 0x0FAE0000 + k), a query about a
 * process that cannot exist (Linux gives no process number above 4194304). At each mark one line "MARK K COUNT" is
 * written to the file named by the plugin's argument out=FILE; COUNT is the number of instructions executed so far.
 *
 * With blocks=FILE it also counts how often each block of code runs, and how many 64-byte lines its loads and stores
 * miss in a Cortex-A72's caches (LRU: 32 KiB in 2 ways, then 1 MiB in 16). Both are taken between marks 2 and 3, when
 * marks 0 and 1 have warmed the caches, and between the last two marks, which should stand around nothing. At the end:
 * "MISSES L1 L2 L1 L2", the run's and the last pair's, and for each block "BLOCK COUNT COUNT CODE", 8 hexadecimal
 * digits of CODE an instruction.
 *
 * The counters are numbers without a lock: exact for one guest thread, and only for one.
 *
 * Debian ships no qemu-plugin.h, so the few declarations of plugin API version 1 (QEMU 4.2 to 8.2; see QEMU's
 * documentation, "QEMU TCG Plugins") that are used here are stated here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t; /* not looked into */
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                      void (*)(unsigned int, qemu_plugin_meminfo_t, uint64_t, void *),
                                      enum qemu_plugin_cb_flags, enum qemu_plugin_mem_rw, void *);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t,
                                          void (*)(qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = 1;

enum { AARCH64_GETPRIORITY = 141, PRIO_PROCESS = 0, MARK = 0x0FAE };

enum { RUN, EMPTY }; /* the pairs of marks that blocks are counted between */
enum { LINE_SHIFT = 6, L1_SETS = 256, L1_WAYS = 2, L2_SETS = 1024, L2_WAYS = 16 };

struct block {
  struct block *next;
  uint64_t count, before, between[2];
  uint32_t length, code[];
};

static uint64_t executed;
static FILE *out, *blocks_out;
static struct block *blocks;
static bool warm; /* from the first mark on: nothing before it is looked at */
static uint64_t misses[2], misses_before[2], misses_between[2][2]; /* L1, L2 */
static uint64_t l1[L1_SETS][L1_WAYS], l2[L2_SETS][L2_WAYS];        /* the newest line of a set first; 0: none */

/* Whether a set holds the line; it is its newest from then on. */
static bool holds(uint64_t *set, int ways, uint64_t line) {
  int way = 0;
  while (way < ways - 1 && set[way] != line) way++;
  const bool held = set[way] == line;
  memmove(set + 1, set, way * sizeof *set);
  set[0] = line;
  return held;
}

static void touch(uint64_t line) {
  if (holds(l1[line % L1_SETS], L1_WAYS, line)) return;
  misses[0]++;
  if (!holds(l2[line % L2_SETS], L2_WAYS, line)) misses[1]++;
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  (void)vcpu, (void)data;
  if (!warm) return;
  const uint64_t first = address >> LINE_SHIFT;
  const uint64_t last = (address + (1u << qemu_plugin_mem_size_shift(info)) - 1) >> LINE_SHIFT;
  touch(first);
  if (last != first) touch(last);
}

static void watch(struct qemu_plugin_tb *translated, size_t length) {
  struct block *block = calloc(1, sizeof *block + length * sizeof *block->code);
  if (block == NULL) abort();
  block->length = length;
  block->next = blocks;
  blocks = block;
  for (size_t i = 0; i < length; i++) {
    struct qemu_plugin_insn *each = qemu_plugin_tb_get_insn(translated, i);
    memcpy(&block->code[i], qemu_plugin_insn_data(each), sizeof *block->code);
    qemu_plugin_register_vcpu_mem_cb(each, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
  }
  qemu_plugin_register_vcpu_tb_exec_inline(translated, QEMU_PLUGIN_INLINE_ADD_U64, &block->count, 1);
}

/* Counted a block at a time, at its entry. A block that a signal leaves half way is counted whole. */
static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  const size_t length = qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &executed, length);
  if (blocks_out != NULL) watch(block, length);
}

static void on_mark(unsigned int mark) {
  warm = true;
  if (mark % 2 == 0) {
    for (struct block *each = blocks; each != NULL; each = each->next) each->before = each->count;
    memcpy(misses_before, misses, sizeof misses);
  } else if (mark > 1) {
    const int pair = mark == 3 ? RUN : EMPTY;
    for (struct block *each = blocks; each != NULL; each = each->next) {
      each->between[pair] = each->count - each->before;
    }
    for (int level = 0; level < 2; level++) misses_between[pair][level] = misses[level] - misses_before[level];
  }
}

static void on_end(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  fprintf(blocks_out, "MISSES");
  for (int i = 0; i < 4; i++) fprintf(blocks_out, " %" PRIu64, misses_between[i / 2][i % 2]);
  fputc('\n', blocks_out);
  for (struct block *each = blocks; each != NULL; each = each->next) {
    if (each->between[RUN] == 0 && each->between[EMPTY] == 0) continue;
    fprintf(blocks_out, "BLOCK %" PRIu64 " %" PRIu64 " ", each->between[RUN], each->between[EMPTY]);
    for (uint32_t i = 0; i < each->length; i++) fprintf(blocks_out, "%08" PRIx32, each->code[i]);
    fputc('\n', blocks_out);
  }
  fclose(blocks_out);
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t which, uint64_t who,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  const uint32_t process = (uint32_t)who;
  if (number == AARCH64_GETPRIORITY && (uint32_t)which == PRIO_PROCESS && process >> 16 == MARK) {
    fprintf(out, "MARK %" PRIu32 " %" PRIu64 "\n", process & 0xffff, executed);
    fflush(out);
    if (blocks_out != NULL) on_mark(process & 0xffff);
  }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
    if (strncmp(argv[i], "blocks=", 7) == 0) blocks_out = fopen(argv[i] + 7, "w");
  }
  if (out == NULL) {
    fprintf(stderr, "insncount: give a file that can be written: out=FILE\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  if (blocks_out != NULL) qemu_plugin_register_atexit_cb(id, on_end, NULL);
  return 0;
}
