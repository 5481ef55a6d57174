/* A QEMU TCG plugin that counts the guest instructions between marks.
 *
 * The guest makes a mark with a harmless system call: getpriority(PRIO_PROCESS, 0x0FAE0000 + k), a query about a
 * process that cannot exist (Linux gives no process number above 4194304). At each mark one line "MARK K COUNT" is
 * written to the file named by the plugin's argument out=FILE; COUNT is the number of instructions executed so far.
 *
 * The counter is one number without a lock: exact for one guest thread, and only for one.
 *
 * Debian ships no qemu-plugin.h, so the few declarations of plugin API version 1 (QEMU 4.2 to 8.2; see QEMU's
 * documentation, "QEMU TCG Plugins") that are used here are stated here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t; /* not looked into */
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t,
                                          void (*)(qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = 1;

enum { AARCH64_GETPRIORITY = 141, PRIO_PROCESS = 0, MARK = 0x0FAE };

static uint64_t executed;
static FILE *out;

/* Counted a block at a time, at its entry. A block that a signal leaves half way is counted whole. */
static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &executed,
                                           qemu_plugin_tb_n_insns(block));
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t which, uint64_t who,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  const uint32_t process = (uint32_t)who;
  if (number == AARCH64_GETPRIORITY && (uint32_t)which == PRIO_PROCESS && process >> 16 == MARK) {
    fprintf(out, "MARK %" PRIu32 " %" PRIu64 "\n", process & 0xffff, executed);
    fflush(out);
  }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
  }
  if (out == NULL) {
    fprintf(stderr, "insncount: give a file that can be written: out=FILE\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
