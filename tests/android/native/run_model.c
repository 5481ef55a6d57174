/* Runs a model with the two libraries of the APK, through the very functions that the app's Java calls.

   run_model RUNTIME SHIM MODEL INPUTS OUTPUTS
   INPUTS: images one after the other, as the model's input tensor stores them. OUTPUTS: the same of its output.
   Prints one line of JSON. There is no JVM: a table with the few functions of JNI that the shim uses stands in. */
#include <jni.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bionic.h"

#define PREFIX "Java_org_ofaedge_demo_core_TfliteEngine_"

typedef struct {
  void* address;
  jlong capacity;
} Direct;
typedef struct {
  jsize length;
  union {
    jint ints[16];
    jlong longs[8];
  } values;
} Array;

static void* address_of(JNIEnv* env, jobject buffer) { (void)env; return ((Direct*)buffer)->address; }
static jlong capacity_of(JNIEnv* env, jobject buffer) { (void)env; return ((Direct*)buffer)->capacity; }
static jintArray new_ints(JNIEnv* env, jsize length) {
  (void)env;
  Array* array = calloc(1, sizeof *array);
  array->length = length;
  return (jintArray)array;
}
static void set_ints(JNIEnv* env, jintArray array, jsize start, jsize length, const jint* values) {
  (void)env;
  memcpy(((Array*)array)->values.ints + start, values, (size_t)length * sizeof(jint));
}
static void set_longs(JNIEnv* env, jlongArray array, jsize start, jsize length, const jlong* values) {
  (void)env;
  memcpy(((Array*)array)->values.longs + start, values, (size_t)length * sizeof(jlong));
}
static void get_longs(JNIEnv* env, jlongArray array, jsize start, jsize length, jlong* values) {
  (void)env;
  memcpy(values, ((Array*)array)->values.longs + start, (size_t)length * sizeof(jlong));
}
static jstring new_text(JNIEnv* env, const char* text) { (void)env; return (jstring)strdup(text); }

static void fail(const char* what) {
  fprintf(stderr, "run_model: %s\n", what);
  exit(4);
}

static Direct read_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) fail(path);
  Direct content = {NULL, ftell(file)};
  if (posix_memalign(&content.address, 64, (size_t)content.capacity + 1)) fail("no memory");
  rewind(file);
  if (fread(content.address, 1, (size_t)content.capacity, file) != (size_t)content.capacity) fail(path);
  fclose(file);
  return content;
}

static void* function(const Library* shim, const char* name) {
  char full[128];
  snprintf(full, sizeof full, PREFIX "%s", name);
  void* found = bionic_symbol(shim, full);
  if (!found) fail(full);
  return found;
}

int main(int count, char** arguments) {
  static struct JNINativeInterface table;
  table.GetDirectBufferAddress = address_of;
  table.GetDirectBufferCapacity = capacity_of;
  table.NewIntArray = new_ints;
  table.SetIntArrayRegion = set_ints;
  table.SetLongArrayRegion = set_longs;
  table.GetLongArrayRegion = get_longs;
  table.NewStringUTF = new_text;
  static JNIEnv env = &table;
  if (count != 6) fail("usage: run_model RUNTIME SHIM MODEL INPUTS OUTPUTS");
  bionic_load(arguments[1]);
  Library* shim = bionic_load(arguments[2]);
  jstring (*version)(JNIEnv*, jclass) = function(shim, "nativeVersion");
  jint (*open_model)(JNIEnv*, jclass, jobject, jint, jobject, jlongArray) = function(shim, "nativeOpen");
  void (*close_model)(JNIEnv*, jclass, jlongArray) = function(shim, "nativeClose");
  jintArray (*tensor)(JNIEnv*, jclass, jlong, jboolean) = function(shim, "nativeTensor");
  jfloat (*scale)(JNIEnv*, jclass, jlong, jboolean) = function(shim, "nativeScale");
  jint (*set)(JNIEnv*, jclass, jlong, jobject) = function(shim, "nativeSet");
  jint (*invoke)(JNIEnv*, jclass, jlong) = function(shim, "nativeInvoke");
  jint (*get)(JNIEnv*, jclass, jlong, jobject) = function(shim, "nativeGet");

  Direct model = read_file(arguments[3]), inputs = read_file(arguments[4]);
  int32_t operators[4] = {0};
  Direct counts = {operators, sizeof operators};
  Array handles = {8, {{0}}};
  jint status = open_model(&env, NULL, (jobject)&model, 1, (jobject)&counts, (jlongArray)&handles);
  if (status) {
    printf("{\"status\": %d}\n", status);
    return 0;
  }
  jlong handle = handles.values.longs[1];
  Array *source = (Array*)tensor(&env, NULL, handle, 1), *sink = (Array*)tensor(&env, NULL, handle, 0);
  if (!source || !sink) fail("the model has not one input and one output");
  jint size = source->values.ints[1];
  if (inputs.capacity % size) fail("the inputs are no whole number of images");
  FILE* out = fopen(arguments[5], "wb");
  if (!out) fail(arguments[5]);
  Direct result = {calloc(1, (size_t)sink->values.ints[1]), sink->values.ints[1]};
  for (jlong at = 0; at < inputs.capacity; at += size) {
    Direct image = {(char*)inputs.address + at, size};
    if (set(&env, NULL, handle, (jobject)&image)) fail("cannot set the input");
    if (invoke(&env, NULL, handle)) fail("cannot run the model");
    if (get(&env, NULL, handle, (jobject)&result)) fail("cannot read the output");
    if (fwrite(result.address, 1, (size_t)result.capacity, out) != (size_t)result.capacity) fail("cannot write");
  }
  if (fclose(out)) fail("cannot write");
  printf("{\"status\": 0, \"version\": \"%s\", \"operators\": %d, \"undelegated\": %d,"
         " \"input\": [%d, %d, %d, %.9g], \"output\": [%d, %d, %d, %.9g]}\n",
         (char*)version(&env, NULL), operators[0], operators[2] - operators[3], source->values.ints[0],
         source->values.ints[1], source->values.ints[2], (double)scale(&env, NULL, handle, 1), sink->values.ints[0],
         sink->values.ints[1], sink->values.ints[2], (double)scale(&env, NULL, handle, 0));
  close_model(&env, NULL, (jlongArray)&handles);
  fflush(stdout);
  _exit(0); /* the libraries' threads and destructors are none of our business */
}
