// Arrays in NumPy's .npy files: little endian, C order, version 1 to 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct Array {
  std::string dtype;  // "<f4", "<f8", "<i4", "<i8", "|b1", "|u1", "|i1"
  std::vector<std::int64_t> shape;
  std::vector<char> bytes;
};

// Throws std::runtime_error if the file is none, or its numbers are of another kind.
Array read_npy(const std::string& path);
void write_npy(const std::string& path, const Array& array);
// The bytes of one number, 0 for a kind that is not supported.
std::size_t width_of(const std::string& dtype);
