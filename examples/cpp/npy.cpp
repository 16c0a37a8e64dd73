#include "npy.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

constexpr std::size_t kMagic = 6;

std::string between(const std::string& text, const std::string& key, char open, char close) {
  auto at = text.find(key);
  auto start = at == std::string::npos ? at : text.find(open, at + key.size());
  auto stop = start == std::string::npos ? start : text.find(close, start + 1);
  if (stop == std::string::npos) throw std::runtime_error("a .npy header without " + key);
  return text.substr(start + 1, stop - start - 1);
}

}  // namespace

std::size_t width_of(const std::string& dtype) {
  for (const char* known : {"<f4", "<f8", "<i4", "<i8", "|b1", "|u1", "|i1"})
    if (dtype == known) return static_cast<std::size_t>(dtype[2] - '0');
  return 0;
}

Array read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> all((std::istreambuf_iterator<char>(file)), {});
  if (all.size() < 12 || std::memcmp(all.data(), "\x93NUMPY", kMagic) != 0)
    throw std::runtime_error(path + " is no .npy file");
  auto byte = [&](std::size_t k) {
    return static_cast<std::size_t>(static_cast<unsigned char>(all[k]));
  };
  bool old = byte(kMagic) == 1;
  std::size_t begin = old ? 10 : 12;
  std::size_t length = byte(8) | byte(9) << 8;
  if (!old) length |= byte(10) << 16 | byte(11) << 24;
  if (all.size() < begin + length) throw std::runtime_error(path + " ends within its header");
  std::string header(all.data() + begin, length);

  Array made;
  made.dtype = between(header, "'descr':", '\'', '\'');
  std::size_t width = width_of(made.dtype);
  if (width == 0) throw std::runtime_error(path + " holds numbers of the kind " + made.dtype);
  if (header.find("'fortran_order': False") == std::string::npos)
    throw std::runtime_error(path + " is in Fortran order; save numpy.ascontiguousarray(array)");
  std::size_t size = width;
  std::string numbers = between(header, "'shape':", '(', ')');
  for (std::size_t at = 0; (at = numbers.find_first_of("0123456789", at)) != std::string::npos;) {
    std::size_t used = 0;
    made.shape.push_back(std::stoll(numbers.substr(at), &used));
    size *= static_cast<std::size_t>(made.shape.back());
    at += used;
  }
  if (all.size() != begin + length + size)
    throw std::runtime_error(path + " is not as long as its header says");
  made.bytes.assign(all.begin() + static_cast<std::ptrdiff_t>(begin + length), all.end());
  return made;
}

void write_npy(const std::string& path, const Array& array) {
  std::string shape;
  for (auto d : array.shape) shape += std::to_string(d) + ", ";
  std::string header =
      "{'descr': '" + array.dtype + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  char length[] = {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  file.write(length, 2);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(array.bytes.data(), static_cast<std::streamsize>(array.bytes.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}
