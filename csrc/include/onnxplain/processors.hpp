// Loops for several kinds of processors.
#pragma once

// A function is compiled for several kinds of processors, of which the loader chooses. Fused
// products and sums stay switched off, so all give the same bits. ONNXPLAIN_BY_PROCESSOR says that
// the loader does so.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ONNXPLAIN_BY_PROCESSOR
#define ONNXPLAIN_FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ONNXPLAIN_FOR_EACH_PROCESSOR
#endif

// Instructions of x86 may be named where a function is compiled for them
// (__attribute__((target(...)))), and the processor asked whether it has them.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define ONNXPLAIN_X86_INTRINSICS
#endif

// A part of such a function must be written into it, to be compiled for the same processors.
#if defined(__GNUC__)
#define ONNXPLAIN_INLINE __attribute__((always_inline))
#else
#define ONNXPLAIN_INLINE
#endif

// So is all that the function calls.
#if defined(__GNUC__) && !defined(__clang__)
#define ONNXPLAIN_FLATTEN __attribute__((flatten))
#else
#define ONNXPLAIN_FLATTEN
#endif

// A loop that is run a few times, as often each time: its parts become one.
#if defined(__GNUC__) && !defined(__clang__)
#define ONNXPLAIN_WRITTEN_OUT _Pragma("GCC unroll 8")
#else
#define ONNXPLAIN_WRITTEN_OUT
#endif

// A loop over few numbers, none of which depends on another, becomes operations on vectors, where
// it would else be written out number by number.
#if defined(__GNUC__) && !defined(__clang__)
#define ONNXPLAIN_AS_A_VECTOR _Pragma("GCC ivdep") _Pragma("GCC unroll 1")
#else
#define ONNXPLAIN_AS_A_VECTOR
#endif
