/* What Java needs of the TFLite C API, and nothing else: calls of JNI and of TfLite* only, no libc, no allocation.
   The same file serves the app (arm64, bionic) and the tests on a JVM. */
#include <jni.h>
#include <stddef.h>
#include <stdint.h>

/* The parts of tensorflow/lite/c/c_api.h and c_api_opaque.h in use, as LiteRT 2.x exports them. */
typedef struct TfLiteModel TfLiteModel;
typedef struct TfLiteInterpreter TfLiteInterpreter;
typedef struct TfLiteInterpreterOptions TfLiteInterpreterOptions;
typedef struct TfLiteTensor TfLiteTensor;
typedef struct TfLiteDelegate TfLiteDelegate; /* opaque delegates are the same type there */
typedef struct TfLiteOpaqueContext TfLiteOpaqueContext;
typedef struct TfLiteOpaqueNode TfLiteOpaqueNode;
typedef struct TfLiteOperator TfLiteOperator;
typedef struct {
  float scale;
  int32_t zero_point;
} TfLiteQuantizationParams;
typedef struct {
  int size;
  int data[];
} TfLiteIntArray;
typedef struct {
  void* data;
  int (*prepare)(TfLiteOpaqueContext*, TfLiteDelegate*, void*);
  void* copy_from_buffer_handle;
  void* copy_to_buffer_handle;
  void* free_buffer_handle;
  int64_t flags;
} TfLiteOpaqueDelegateBuilder;
/* Begins with the number of threads. The library fills in the rest, whose length is its own affair: room to spare. */
typedef struct {
  int32_t num_threads;
  char rest[508];
} XnnpackOptions;

extern const char* TfLiteVersion(void);
extern TfLiteModel* TfLiteModelCreate(const void*, size_t);
extern void TfLiteModelDelete(TfLiteModel*);
extern TfLiteInterpreterOptions* TfLiteInterpreterOptionsCreate(void);
extern void TfLiteInterpreterOptionsDelete(TfLiteInterpreterOptions*);
extern void TfLiteInterpreterOptionsSetNumThreads(TfLiteInterpreterOptions*, int32_t);
extern void TfLiteInterpreterOptionsAddDelegate(TfLiteInterpreterOptions*, TfLiteDelegate*);
extern TfLiteInterpreter* TfLiteInterpreterCreate(const TfLiteModel*, const TfLiteInterpreterOptions*);
extern void TfLiteInterpreterDelete(TfLiteInterpreter*);
extern int TfLiteInterpreterAllocateTensors(TfLiteInterpreter*);
extern int TfLiteInterpreterInvoke(TfLiteInterpreter*);
extern int32_t TfLiteInterpreterGetInputTensorCount(const TfLiteInterpreter*);
extern int32_t TfLiteInterpreterGetOutputTensorCount(const TfLiteInterpreter*);
extern TfLiteTensor* TfLiteInterpreterGetInputTensor(const TfLiteInterpreter*, int32_t);
extern const TfLiteTensor* TfLiteInterpreterGetOutputTensor(const TfLiteInterpreter*, int32_t);
extern int TfLiteTensorType(const TfLiteTensor*);
extern int32_t TfLiteTensorNumDims(const TfLiteTensor*);
extern int32_t TfLiteTensorDim(const TfLiteTensor*, int32_t);
extern size_t TfLiteTensorByteSize(const TfLiteTensor*);
extern TfLiteQuantizationParams TfLiteTensorQuantizationParams(const TfLiteTensor*);
extern int TfLiteTensorCopyFromBuffer(TfLiteTensor*, const void*, size_t);
extern int TfLiteTensorCopyToBuffer(const TfLiteTensor*, void*, size_t);
extern XnnpackOptions TfLiteXNNPackDelegateOptionsDefault(void);
extern TfLiteDelegate* TfLiteXNNPackDelegateCreate(const XnnpackOptions*);
extern void TfLiteXNNPackDelegateDelete(TfLiteDelegate*);
extern TfLiteDelegate* TfLiteOpaqueDelegateCreate(const TfLiteOpaqueDelegateBuilder*);
extern void TfLiteOpaqueDelegateDelete(TfLiteDelegate*);
extern int TfLiteOpaqueContextGetExecutionPlan(TfLiteOpaqueContext*, TfLiteIntArray**);
extern int TfLiteOpaqueContextGetNodeAndRegistration(TfLiteOpaqueContext*, int, TfLiteOpaqueNode**, TfLiteOperator**);
extern int32_t TfLiteOperatorGetBuiltInCode(const TfLiteOperator*);

enum { BUILTIN_DELEGATE = 51 };                                       /* kTfLiteBuiltinDelegate */
enum { MODEL, INTERPRETER, XNNPACK, COUNT_BEFORE, COUNT_AFTER };      /* of the handles that Java keeps */
enum { OPENED = 0, NO_BUFFER = 1, NOT_A_MODEL = 2, NO_DELEGATE = 3, NO_INTERPRETER = 4 };

#define NATIVE(type, name) JNIEXPORT type JNICALL Java_org_ofaedge_demo_core_TfliteEngine_##name

static void* pointer(jlong handle) { return (void*)(intptr_t)handle; }

/* A delegate that takes nothing and only looks: how many operators the graph has, how many a delegate has taken over. */
static int count_operators(TfLiteOpaqueContext* context, TfLiteDelegate* self, void* data) {
  int32_t* counts = data; /* [operators, of them delegated parts] */
  TfLiteIntArray* plan;
  (void)self;
  if (TfLiteOpaqueContextGetExecutionPlan(context, &plan) != 0) return 0;
  counts[0] = plan->size;
  counts[1] = 0;
  for (int i = 0; i < plan->size; i++) {
    TfLiteOpaqueNode* node;
    TfLiteOperator* operator;
    if (TfLiteOpaqueContextGetNodeAndRegistration(context, plan->data[i], &node, &operator) != 0) continue;
    if (TfLiteOperatorGetBuiltInCode(operator) == BUILTIN_DELEGATE) counts[1]++;
  }
  return 0;
}

static TfLiteDelegate* counter(int32_t* counts) {
  TfLiteOpaqueDelegateBuilder builder;
  builder.data = counts;
  builder.prepare = count_operators;
  builder.copy_from_buffer_handle = 0;
  builder.copy_to_buffer_handle = 0;
  builder.free_buffer_handle = 0;
  builder.flags = 0;
  return TfLiteOpaqueDelegateCreate(&builder);
}

static void close_all(const jlong* handles) {
  if (handles[INTERPRETER]) TfLiteInterpreterDelete(pointer(handles[INTERPRETER]));
  if (handles[COUNT_AFTER]) TfLiteOpaqueDelegateDelete(pointer(handles[COUNT_AFTER]));
  if (handles[XNNPACK]) TfLiteXNNPackDelegateDelete(pointer(handles[XNNPACK]));
  if (handles[COUNT_BEFORE]) TfLiteOpaqueDelegateDelete(pointer(handles[COUNT_BEFORE]));
  if (handles[MODEL]) TfLiteModelDelete(pointer(handles[MODEL]));
}

/* The C API does not apply XNNPACK by itself, as Python's interpreter does: without it int8 results differ. */
static int open_all(const void* bytes, size_t size, int32_t threads, int32_t* counts, jlong* handles) {
  handles[MODEL] = (jlong)(intptr_t)TfLiteModelCreate(bytes, size);
  if (!handles[MODEL]) return NOT_A_MODEL;
  XnnpackOptions xnnpack = TfLiteXNNPackDelegateOptionsDefault();
  xnnpack.num_threads = threads;
  handles[COUNT_BEFORE] = (jlong)(intptr_t)counter(counts);
  handles[XNNPACK] = (jlong)(intptr_t)TfLiteXNNPackDelegateCreate(&xnnpack);
  handles[COUNT_AFTER] = (jlong)(intptr_t)counter(counts + 2);
  if (!handles[COUNT_BEFORE] || !handles[XNNPACK] || !handles[COUNT_AFTER]) return NO_DELEGATE;
  TfLiteInterpreterOptions* options = TfLiteInterpreterOptionsCreate();
  if (!options) return NO_INTERPRETER;
  TfLiteInterpreterOptionsSetNumThreads(options, threads);
  TfLiteInterpreterOptionsAddDelegate(options, pointer(handles[COUNT_BEFORE]));
  TfLiteInterpreterOptionsAddDelegate(options, pointer(handles[XNNPACK]));
  TfLiteInterpreterOptionsAddDelegate(options, pointer(handles[COUNT_AFTER]));
  TfLiteInterpreter* interpreter = TfLiteInterpreterCreate(pointer(handles[MODEL]), options);
  TfLiteInterpreterOptionsDelete(options);
  handles[INTERPRETER] = (jlong)(intptr_t)interpreter;
  if (!interpreter || TfLiteInterpreterAllocateTensors(interpreter) != 0) return NO_INTERPRETER;
  return OPENED;
}

NATIVE(jstring, nativeVersion)(JNIEnv* env, jclass type) {
  (void)type;
  return (*env)->NewStringUTF(env, TfLiteVersion());
}

/* `model`: direct, kept by the caller until nativeClose. `counts`: direct, 16 bytes: operators and delegated parts,
   before and after XNNPACK. `handles`: long[5]. */
NATIVE(jint, nativeOpen)(JNIEnv* env, jclass type, jobject model, jint threads, jobject counts, jlongArray handles) {
  void* bytes = (*env)->GetDirectBufferAddress(env, model);
  void* counted = (*env)->GetDirectBufferAddress(env, counts);
  jlong all[5];
  (void)type;
  if (!bytes || !counted || (*env)->GetDirectBufferCapacity(env, counts) < 16) return NO_BUFFER;
  for (int i = 0; i < 5; i++) *(volatile jlong*)&all[i] = 0; /* volatile: or the compiler calls memset */
  int status = open_all(bytes, (size_t)(*env)->GetDirectBufferCapacity(env, model), threads, counted, all);
  if (status != OPENED)
    close_all(all);
  else
    (*env)->SetLongArrayRegion(env, handles, 0, 5, all);
  return status;
}

NATIVE(void, nativeClose)(JNIEnv* env, jclass type, jlongArray handles) {
  jlong all[5];
  (void)type;
  (*env)->GetLongArrayRegion(env, handles, 0, 5, all);
  close_all(all);
}

static const TfLiteTensor* only_tensor(TfLiteInterpreter* interpreter, jboolean input) {
  if (TfLiteInterpreterGetInputTensorCount(interpreter) != 1) return 0;
  if (TfLiteInterpreterGetOutputTensorCount(interpreter) != 1) return 0;
  return input ? TfLiteInterpreterGetInputTensor(interpreter, 0) : TfLiteInterpreterGetOutputTensor(interpreter, 0);
}

/* [type, bytes, zero point, sides...]; null unless there is one input and one output. */
NATIVE(jintArray, nativeTensor)(JNIEnv* env, jclass type, jlong interpreter, jboolean input) {
  const TfLiteTensor* tensor = only_tensor(pointer(interpreter), input);
  jint facts[11];
  (void)type;
  if (!tensor) return 0;
  int32_t sides = TfLiteTensorNumDims(tensor);
  if (sides < 0 || sides > 8 || TfLiteTensorByteSize(tensor) > INT32_MAX) return 0;
  facts[0] = TfLiteTensorType(tensor);
  facts[1] = (jint)TfLiteTensorByteSize(tensor);
  facts[2] = TfLiteTensorQuantizationParams(tensor).zero_point;
  for (int i = 0; i < sides; i++) facts[3 + i] = TfLiteTensorDim(tensor, i);
  jintArray array = (*env)->NewIntArray(env, 3 + sides);
  if (array) (*env)->SetIntArrayRegion(env, array, 0, 3 + sides, facts);
  return array;
}

NATIVE(jfloat, nativeScale)(JNIEnv* env, jclass type, jlong interpreter, jboolean input) {
  const TfLiteTensor* tensor = only_tensor(pointer(interpreter), input);
  (void)env;
  (void)type;
  return tensor ? TfLiteTensorQuantizationParams(tensor).scale : 0;
}

/* Both take a direct buffer of exactly the tensor's bytes; TfLite checks the length. */
NATIVE(jint, nativeSet)(JNIEnv* env, jclass type, jlong interpreter, jobject values) {
  void* bytes = (*env)->GetDirectBufferAddress(env, values);
  (void)type;
  if (!bytes) return -1;
  return TfLiteTensorCopyFromBuffer(TfLiteInterpreterGetInputTensor(pointer(interpreter), 0), bytes,
                                    (size_t)(*env)->GetDirectBufferCapacity(env, values));
}

NATIVE(jint, nativeGet)(JNIEnv* env, jclass type, jlong interpreter, jobject values) {
  void* bytes = (*env)->GetDirectBufferAddress(env, values);
  (void)type;
  if (!bytes) return -1;
  return TfLiteTensorCopyToBuffer(TfLiteInterpreterGetOutputTensor(pointer(interpreter), 0), bytes,
                                  (size_t)(*env)->GetDirectBufferCapacity(env, values));
}

NATIVE(jint, nativeInvoke)(JNIEnv* env, jclass type, jlong interpreter) {
  (void)env;
  (void)type;
  return TfLiteInterpreterInvoke(pointer(interpreter));
}
